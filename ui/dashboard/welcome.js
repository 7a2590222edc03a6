// The first start: the programs where one is missing, a password, the phone; then it is done.
// Every step can be skipped and come back to; how far it has come is kept by the program.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Folders, useFolders } from "/folders.js";
import { propose } from "/passphrase.js";
import { Act, Copy, Failure, Qr, State, Why, openOpenCode, say, useAction } from "/parts.js";
import { TOOLS, Tool, useSetup } from "/programs.js";
import { strength } from "/password.js";
import { AtLogin } from "/settings-more.js";
import { isMissing, plan } from "/welcome-plan.js";
import { inert } from "/words.js";

const LOOK_MS = 2000;

const NAMES = { tools: "Programs", password: "Password", phone: "Your phone", done: "Ready" };

const every = (ms, read, on = true) => useEffect(() => {
  if (!on) return undefined;
  const timer = setInterval(() => document.hidden || read(), ms);
  return () => clearInterval(timer);
}, [on]);

export function Welcome({ live }) {
  const held = live.snapshot.services.map((service) => service.state).join();
  const [setup, error, read] = useSetup([live.boot, held]);
  const [chosen, choose] = useState(null);
  const head = useRef(null);
  const { steps, next } = setup ? plan(setup) : { steps: [], next: null };
  const step = chosen || next;
  const last = useRef(null);
  useEffect(() => {
    if (last.current && step !== last.current) head.current?.focus();
    last.current = step;
    if (step === "done" && setup && !setup.finished) send("PUT", "/setup/steps/finish").then(read, console.warn);
  }, [step]);
  const pass = async (name) => {
    await send("PUT", `/setup/steps/${name}`);
    choose(null);
    await read();
  };
  if (!setup) return html`<div class="stack"><h1>Welcome to Nexus Tray</h1><${Failure} error=${error} /></div>`;
  const at = steps.indexOf(step);
  const Body = { tools: Programs, password: Choose, phone: Phone, done: Done }[step];
  return html`<div class="stack welcome"><header><h1>Welcome to Nexus Tray</h1>
      <p class="dim">OpenCode keeps working on this computer, and you reach it from your phone.</p></header>
    <ol class="steps" aria-label="Steps">${steps.map((one, number) => html`<li key=${one} class=${number < at ? "past" : one === step ? "now" : ""}
      aria-current=${one === step ? "step" : null}>${number < at
        ? html`<button type="button" class="plain" onClick=${() => choose(one)}><span class="unseen">Back to: </span>${NAMES[one]}</button>`
        : NAMES[one]}</li>`)}</ol>
    <${Failure} error=${error} />
    <section class="sheet stack" aria-labelledby="step"><div><h2 id="step" tabindex="-1" ref=${head}>${TITLES[step]}</h2>
        ${step !== "done" && html`<p class="dim small">Step ${at + 1} of ${steps.length - 1}</p>`}</div>
      <${Body} live=${live} setup=${setup} read=${read} pass=${() => pass(step)} next=${() => choose(null)}
        again=${chosen !== null} /></section>
    ${step === "done" && html`<${Projects} live=${live} />`}</div>`;
}

const TITLES = {
  tools: "Two programs are needed", password: "Choose a password", phone: "Sign in on your phone", done: "You are ready",
};

const Skip = ({ pass, words }) => html`<${Act} act=${pass} doing="Skipping…">${words}<//>`;

// -- programs ---------------------------------------------------------------------------------

function Programs({ setup, read, pass }) {
  const wanted = setup.tools.filter((tool) => !tool.path && tool.fetchable && !tool.fetch);
  const all = async () => {
    for (const tool of wanted) await send("PUT", `/tools/${tool.name}/fetch`);
    await read();
  };
  return html`<ul class="list">${setup.tools.map((tool) => html`<${Tool} key=${tool.name} tool=${tool} read=${read} />`)}</ul>
    <div class="row wrap">${wanted.length > 0 && html`<${Act} act=${all} doing="Beginning…" kind="primary">
        ${wanted.length > 1 ? "Fetch both" : `Fetch ${TOOLS[wanted[0].name]}`}<//>`}
      ${isMissing(setup) ? html`<${Skip} pass=${pass} words="Go on without" />`
        : html`<${Act} act=${pass} doing="Going on…" kind="primary">Go on<//>`}</div>
    <p class="dim small">What is fetched is the official file; it is checked before it may run.</p>`;
}

// -- password ---------------------------------------------------------------------------------

/** Another one is a matter of the Access page: it asks for the present one, and ends a lot. */
const Chosen = ({ next }) => html`<div class="stack"><p>One is set already. It is changed on the page <a href="#/access">Access</a>.</p>
  <div class="row wrap"><button type="button" class="primary" onClick=${next}>Go on</button></div></div>`;

function Choose(props) {
  return props.setup.password && !props.mine ? html`<${Chosen} ...${props} />` : html`<${NewPassword} ...${props} />`;
}

function NewPassword({ read, pass, next, again }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const field = useRef(null);
  const [score, words] = strength(text);
  const [busy, error, run] = useAction(async () => {
    await send("PUT", "/password", { password: text });
    say("The password is set.");
    next();
    await read();
  });
  useEffect(() => { if (!again) field.current.focus(); }, []);
  const set = (event) => {
    event.preventDefault();
    if (score) run();
  };
  const draw = () => {
    setText(propose());
    setOpen(true);
    field.current.focus();
  };
  return html`<form class="stack" onSubmit=${set}>
    <p id="password-about">Your phone asks for it. Whoever knows it can run programs on this computer, so choose one that nobody guesses.
</p>
    <input hidden autocomplete="username" value="remote access" readonly />
    <div class="row wrap"><label for="new-password" class="unseen">Password</label>
      <input id="new-password" ref=${field} class="grow" type=${open ? "text" : "password"} autocomplete="new-password" value=${text}
        spellcheck=${false} autocapitalize="off" aria-describedby="password-about password-hint" onInput=${(event) => setText(event.target.value)} />
      <button type="button" aria-pressed=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>Show</button></div>
    <div>${text && html`<div class="meter s${score}" aria-hidden="true"><i></i></div>`}
      <p class="small dim" id="password-hint" aria-live="polite">${words}</p></div>
    <div class="row wrap"><button class="primary" aria-disabled=${score && !busy ? null : "true"} aria-busy=${busy ? "true" : null}>
        ${busy ? "Setting…" : "Set password"}</button>
      <button type="button" onClick=${draw}>Propose one</button>
      <span class="grow"></span>
      <${Skip} pass=${pass} words="Skip" /></div>
    <${Failure} error=${error} /></form>`;
}

// -- phone ------------------------------------------------------------------------------------

function Projects({ live }) {
  const found = useFolders(live);
  return (found[0] || found[1]) && html`<${Folders} live=${live} found=${found} /><${AtLogin} />`;
}

/** The newest device that came by the public door; the password ended all that were there before. */
const arrived = (access) => access?.devices.filter((one) => one.door !== "local")
  .sort((a, b) => b.signed_in_at - a.signed_in_at)[0];

function Phone({ live, setup, read, pass }) {
  const { address, services, reason } = live.snapshot;
  const [access, error, look] = useFetched((signal) => get("/access", signal), [live.boot]);
  every(LOOK_MS, look);
  const device = arrived(access);
  const [, failed, go] = useAction(pass);
  useEffect(() => {
    if (!device || setup.passed.includes("phone")) return;
    say(`${inert(device.name)} is in.`);
    go();
  }, [device?.id]);
  const tunnel = services.find((service) => service.kind === "tunnel");
  const grave = reason && tunnel && ["backoff", "failed"].includes(tunnel.state);
  return html`${device ? html`<${In} device=${device} />` : address
    ? html`<div class="scan"><${Qr} text=${address} /><div class="stack"><p>Point your phone’s camera at this code, open the page,
        and sign in with the password you chose.</p>
        <p class="row wrap"><span class="mono wrap">${address}</span><${Copy} text=${address} name="Copy the address" /></p>
        <p><${State} kind="busy" word="Waiting for your phone" /></p></div></div>`
    : html`<p role="status"><${State} kind=${setup.password ? "busy" : "off"} word=${setup.password ? "The tunnel is on its way to an address" : "There is no address without a password"} /></p>
      ${grave && html`<${Why} reason=${reason} />`}`}
    ${tunnel && html`<p class="dim small">This is a quick tunnel: it needs no account, and its address is another one each time it starts.</p>`}
    <${Failure} error=${error || failed} />
    <div class="row"><${Act} act=${pass} doing="Going on…" kind=${device ? "primary" : ""}>${device ? "Go on" : "Skip"}<//></div>`;
}

const In = ({ device }) => html`<p role="status"><${State} kind="up" word="${inert(device.name)} is in" /></p>`;

// -- done -------------------------------------------------------------------------------------

function Done({ live, setup }) {
  const [access, error] = useFetched((signal) => get("/access", signal), [live.boot]);
  const device = arrived(access);
  if (!access && !error) return html`<p class="dim">Reading…</p>`; // nothing moves when it comes
  return html`${device && html`<${In} device=${device} />`}
    ${device ? html`<p>On your phone, press “New session” and write your first message.</p>`
      : setup.password ? html`<p>Scan the code on the Overview whenever you want to sign in on your phone.</p>`
        : html`<p>OpenCode is for this computer only until you choose a password.</p>`}
    <div class="row wrap"><${Act} act=${() => openOpenCode()} doing="Opening…" kind=${device ? "" : "primary"}>Open OpenCode here<//>
      <a class="btn" href="#/">Overview</a></div><${Failure} error=${error} />`;
}
