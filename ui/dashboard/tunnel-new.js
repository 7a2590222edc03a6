// A new tunnel: of which kind, each explained in a sentence, and what that kind needs. What was
// typed stays while the program answers, refuses, or something else on the page changes.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { Job } from "/jobs.js";
import { Act, Failure, State, useAction } from "/parts.js";
import { meantHost, wrongHost } from "/route-form.js";
import { createTunnel, inspectToken, logIn, setToken } from "/tunnel-calls.js";
import { inert } from "/words.js";
import { zoneName } from "/zones.js";

const KINDS = [
  ["quick", "Quick", "No account needed, ready in seconds. Cloudflare gives it a new address at each start."],
  ["named", "On your domain", "An address that stays, such as code.example.com. Needs a domain that is at Cloudflare; everything else is done from here."],
  ["token", "From Cloudflare’s dashboard", "You have made a tunnel there already, or your organisation has. You paste its token."],
];
const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** A name that is free: "quick", "quick-2". */
function proposed(kind, names) {
  const base = { quick: "quick", named: "home", token: "office" }[kind];
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!names.includes(name)) return name;
  }
}

function wrongName(name, names) {
  if (!NAME.test(name)) return "Small letters, digits and - only, at most 32.";
  return names.includes(name) ? `There is a tunnel “${name}” already.` : "";
}

export function NewTunnel({ kind, setKind, close, known, tunnels, logins, wanted, began }) {
  const head = useRef(null);
  const names = tunnels.map((one) => one.name);
  const [typed, setTyped] = useState(null); // null: as proposed
  const name = typed ?? proposed(kind, names);
  useEffect(() => { head.current.focus(); }, []);
  const make = async (plan) => {
    const outcome = await createTunnel({ name, kind, ...plan });
    close();
    await began(outcome, `Tunnel “${name}” is made.`);
  };
  const Body = { quick: Quick, named: Named, token: Token }[kind];
  const bad = wrongName(name, names);
  const field = html`<div class="field"><label for="new-name">Its name here</label>
    <input id="new-name" class="mono" value=${name} spellcheck=${false} autocomplete="off" autocapitalize="off" aria-describedby="new-name-wrong"
      aria-invalid=${bad ? "true" : null} onInput=${(event) => setTyped(event.target.value)} />
    <p class="small grave" id="new-name-wrong" aria-live="polite">${bad}</p></div>`;
  return html`<section class="sheet stack" aria-labelledby="new-tunnel">
    <div class="row between"><h2 id="new-tunnel" ref=${head} tabindex="-1">New tunnel</h2><button type="button" onClick=${close}>Close</button></div>
    <fieldset class="kinds"><legend class="unseen">Kind of tunnel</legend>${KINDS.map(([key, label, about]) => html`<label class="option" key=${key}>
      <input type="radio" name="new-kind" checked=${kind === key} onChange=${() => setKind(key)} /><span>${label}<span class="dim small">${about}</span></span></label>`)}</fieldset>
    <${Body} key=${kind} field=${field} bad=${bad} known=${known} names=${names} logins=${logins} wanted=${wanted} began=${began} make=${make} close=${close} /></section>`;
}

/** A form that does `act` unless something is wrong with what was typed. */
function Form({ act, bad, label, doing, children }) {
  const [busy, error, run] = useAction(act);
  const submit = (event) => {
    event.preventDefault();
    if (!bad) run();
  };
  return html`<form class="stack" onSubmit=${submit}>${children}<${Failure} error=${error} />
    <div class="row"><button class="primary" aria-disabled=${bad || busy ? "true" : null} aria-busy=${busy ? "true" : null}>${busy ? doing : label}</button></div></form>`;
}

const Quick = ({ field, bad, make }) => html`<${Form} act=${() => make({})} bad=${bad} label="Make the tunnel" doing="Making…">${field}
  <p class="dim small">It leads to OpenCode, behind sign-in. At each new address, browsers sign in and phones pair again.</p><//>`;

// -- on a domain of one's own -------------------------------------------------------------------

function Named({ known, logins, wanted, began, ...rest }) {
  const zones = known?.zones || [];
  const signIn = async () => began(await logIn(), "Signing in has begun.");
  return html`${!zones.length && html`<p>First, sign in at Cloudflare and choose the domain there. It needs one step, once for each domain.</p>`}
    ${logins.map((job) => html`<${Job} key=${job.id} job=${job} wanted=${job.id === wanted} />`)}
    ${!logins.length && !zones.length && html`<div class="row"><${Act} kind="primary" act=${signIn} doing="Beginning…">Sign in at Cloudflare<//></div>`}
    ${zones.length > 0 && html`<${NamedForm} zones=${zones} known=${known} ...${rest} />
      ${!logins.length && html`<p class="dim small row wrap">Another domain? <${Act} act=${signIn} doing="Beginning…">Sign in for it<//></p>`}`}`;
}

function NamedForm({ zones, known, field, bad, make }) {
  const [chosen, setZone] = useState("");
  const zone = zones.find((one) => one.id === chosen) || zones[0];
  const [rows, setRows] = useState([{ key: 0, text: "" }]);
  const box = useRef(null);
  const taken = known.settings.flatMap((one) => one.routes.map((route) => [route.hostname, one.name]));
  const hosts = rows.map((row) => meantHost(row.text, [zone]));
  const faults = hosts.map((host, at) => (!host && !at && rows.length === 1 ? "At least one host name is wanted."
    : wrongHost(host, [zone], taken) || (hosts.indexOf(host) < at ? "It stands above already." : "")));
  const put = (at) => (event) => setRows(rows.map((row, place) => (place === at ? { ...row, text: event.target.value } : row)));
  const more = () => setRows([...rows, { key: rows[rows.length - 1].key + 1, text: "" }]);
  const less = (at) => () => {
    setRows(rows.filter((_, place) => place !== at));
    box.current.querySelector("input").focus();
  };
  useEffect(() => { if (rows.length > 1 && !rows[rows.length - 1].text) [...box.current.querySelectorAll("input")].at(-1).focus(); }, [rows.length]);
  const act = () => make({ zone_id: zone.id, routes: hosts.map((hostname) => ({ hostname })) });
  return html`<${Form} act=${act} bad=${bad || faults.some(Boolean)} label="Make the tunnel" doing="Beginning…">${field}
    ${zones.length > 1 && html`<div class="field"><label for="new-zone">Domain</label><select id="new-zone" value=${zone.id} onChange=${(event) => setZone(event.target.value)}>
      ${zones.map((one) => html`<option value=${one.id} selected=${one.id === zone.id}>${zoneName(one)}</option>`)}</select></div>`}
    <div class="field" ref=${box} role="group" aria-label="Host names"><span class="label">Where it is found from outside</span>
      ${rows.map((row, at) => html`<div key=${row.key}><div class="row"><input class="grow mono" aria-label="Host name ${at + 1}" value=${row.text} spellcheck=${false} autocomplete="off"
          autocapitalize="off" placeholder="code.${zone.name || "example.com"}" aria-describedby="new-host-${row.key}" aria-invalid=${row.text && faults[at] ? "true" : null} onInput=${put(at)} />
        ${rows.length > 1 && html`<button type="button" aria-label="Remove ${hosts[at] || `host name ${at + 1}`}" onClick=${less(at)}>Remove</button>`}</div>
        <p class="small dim" id="new-host-${row.key}" aria-live="polite">${!row.text ? zone.name && `It ends with .${zone.name}.` : faults[at] ? html`<span class="grave">${faults[at]}</span>`
          : hosts[at] !== row.text ? `Meant is ${hosts[at]}.` : ""}</p></div>`)}
      <div class="row"><button type="button" onClick=${more}>Another host name</button></div></div>
    <p class="dim small">Each leads to OpenCode, behind sign-in; that can be changed afterwards. A DNS record is made at Cloudflare for each.
      If there is one already that leads elsewhere, you are asked before it is overwritten.</p><//>`;
}

// -- from Cloudflare's dashboard ----------------------------------------------------------------

function Token({ field, bad, known, make, close, began }) {
  const [text, setText] = useState("");
  const [facts, setFacts] = useState(null); // what the text says, once it was looked at
  const [checking, fault, check] = useAction(async () => setFacts(await inspectToken(text.trim())));
  const type = (event) => {
    setText(event.target.value);
    setFacts(null);
  };
  const look = (event) => {
    event.preventDefault();
    if (text.trim()) check();
  };
  const twin = facts?.known_as && known?.settings.find((one) => one.name === facts.known_as);
  const replace = async () => {
    const outcome = await setToken(twin.name, text.trim());
    close();
    await began(outcome, `Tunnel “${twin.name}” has the new token and starts again.`);
  };
  return html`<form class="field" onSubmit=${look}><label for="new-token">Its token, or the whole line that Cloudflare shows for installing it</label>
      <div class="row wrap"><input id="new-token" class="grow mono" type="password" value=${text} spellcheck=${false} autocomplete="off" aria-describedby="new-token-about" onInput=${type} />
        <button class=${facts ? "" : "primary"} aria-disabled=${text.trim() && !checking ? null : "true"} aria-busy=${checking ? "true" : null}>${checking ? "Looking…" : "Look at it"}</button></div>
      <p class="dim small" id="new-token-about">At Cloudflare: Zero Trust, Networks, Tunnels, your tunnel, Configure. It goes into this computer’s keyring and is not shown again.</p>
      <${Failure} error=${fault} /></form>
    <div role="status">${facts && html`<${State} kind="up" word="It is a tunnel’s token" /><dl class="facts"><div><dt>Account</dt><dd class="mono small">${inert(facts.account_id)}</dd></div>
      <div><dt>Tunnel</dt><dd class="mono small">${inert(facts.tunnel_id)}</dd></div></dl>
      ${facts.known_as && html`<p>This tunnel is here already, as “${inert(facts.known_as)}”.${twin?.kind === "token" ? " It can get this token instead of the one it has." : ""}</p>`}`}</div>
    ${twin?.kind === "token" && html`<${Form} act=${replace} label="Give “${twin.name}” this token" doing="Giving…"><p class="dim small">It is restarted, and requests that run through it end.</p><//>`}
    ${facts && !facts.known_as && html`<${Form} act=${() => make({ token: text.trim() })} bad=${bad} label="Use it" doing="Beginning…">${field}
      <p class="dim small">Then Cloudflare has to be told where to lead; the page shows what to paste there, and notices when it is done.</p><//>`}`;
}
