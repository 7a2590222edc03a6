// Who can come in: the password, who is signed in, the end of it all, and what happened at
// the doors. Read anew every few seconds while somebody looks.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { useNow } from "/live.js";
import { Act, Failure, State, present, toast } from "/parts.js";
import { Password } from "/settings-more.js";
import { capital, inert, span } from "/words.js";

const OFTEN_MS = 5000;

/** A number that grows every few seconds while the page is in sight and the line stands. */
function useTick(on) {
  const [tick, set] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const next = () => document.hidden || set((n) => n + 1);
    const timer = setInterval(next, OFTEN_MS);
    document.addEventListener("visibilitychange", next);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", next);
    };
  }, [on]);
  return tick;
}

export function Access({ live }) {
  const open = live.line === "open";
  const tick = useTick(open);
  const [access, error, read] = useFetched((signal) => get("/access", signal), [tick, open, live.boot]);
  return html`<div class="stack"><header><h1>Access</h1>
      ${access && html`<p class="dim">${standing(access)}</p>`}</header>
    <${Failure} error=${open && error} />
    ${!access && !error && html`<p class="dim">Reading…</p>`}
    ${access && html`<${Devices} devices=${access.devices} read=${read} />
      <${Password} known=${access.password} done=${read} />`}
    ${(access || error) && html`<${EndAll} live=${live} />`}
    ${access && html`<${Trail} trail=${access.trail} />`}</div>`;
}

function standing({ password, devices }) {
  const many = devices.length;
  const who = many ? `${many} ${many === 1 ? "device is" : "devices are"} signed in.` : "No device is signed in.";
  return password ? `${who} Whoever knows the password can sign in.` : `${who} No password is set, so there is no remote access.`;
}

/** A moment as people say it; exactly, when pointed at. */
function When({ at, now, ahead = false }) {
  const away = ahead ? at - now : now - at;
  return html`<time datetime=${new Date(at * 1000).toISOString()} title=${new Date(at * 1000).toLocaleString()}>${
    ahead ? `in ${span(Math.max(0, away))}` : away < 2 ? "now" : `${span(away)} ago`}</time>`;
}

const DOORS = { public: "from outside", local: "on this computer", network: "from the local network" };
const from = (address) => (address === "local" ? "this computer" : inert(address));

function Devices({ devices, read }) {
  const now = useNow();
  const title = useRef(null);
  const signedOut = async (words) => {
    title.current.focus(); // the button that was pressed goes away
    toast(words);
    await read();
  };
  const everybody = async () => {
    await send("DELETE", "/sessions");
    await signedOut("Everybody is signed out.");
  };
  return html`<section class="sheet" aria-labelledby="devices"><div class="row between wrap">
      <h2 id="devices" ref=${title} tabindex="-1">Signed-in devices</h2>
      ${devices.length > 0 && html`<${Act} kind="danger" doing="Signing out…" act=${everybody} ask=${{
        title: "Sign out everybody?", yes: "Sign out everybody", danger: true,
        text: "What is open on those devices ends at once. Whoever knows the password can sign in again.",
      }}>Sign out everybody<//>`}</div>
    ${!devices.length && html`<p class="dim">None. A browser appears here when somebody signs in with the password, or opens OpenCode from this computer.</p>`}
    <ul class="list">${devices.map((one) => html`<${Row} key=${one.id} device=${one} now=${now} signedOut=${signedOut} />`)}</ul></section>`;
}

function Row({ device, now, signedOut }) {
  const [error, setError] = useState(null);
  const name = inert(device.name) || "A browser";
  const out = async () => {
    await send("DELETE", `/sessions/${encodeURIComponent(device.id)}`);
    await signedOut(`${name} is signed out.`);
  };
  return html`<li><div class="grow"><b>${name}</b>${" "}<span class="pill">${DOORS[device.door] || inert(device.door)}</span>
      <div class="dim small"><span class="mono">${from(device.address)}</span>${device.host && html` · by <span class="mono">${inert(device.host)}</span>`}</div>
      <div class="dim small">Seen <${When} at=${device.seen_at} now=${now} /> · signed in <${When} at=${device.signed_in_at} now=${now} />${
        " "}· ends <${When} at=${device.expires_at} now=${now} ahead /></div>
      <${Failure} error=${error} /></div>
    <${Act} kind="danger" act=${out} doing="Signing out…" fail=${setError} name="Sign out ${name}, ${from(device.address)}">Sign out<//></li>`;
}

/** Everything at once: what it ends, what stays, and the way back, before and after. */
function EndAll({ live }) {
  const tunnels = live.snapshot.services.filter((service) => service.kind === "tunnel").map((service) => service.name);
  const back = html`<p>To come back: open the dashboard anew from the tray or with <code>nexus-tray dashboard</code>,
    start the tunnel again${tunnels.length > 0 && html` (<code>nexus-tray start ${tunnels.join(" ")}</code>)`}, and sign in on each device.</p>`;
  const body = html`<p>These end at once:</p><ul>
      <li>every tunnel: it stops, and stays stopped when Nexus Tray starts again</li>
      <li>every signed-in device, and what is open on it</li>
      <li>every one-time link that was not used yet</li>
      <li>every open dashboard page, this one too</li></ul>
    <p>OpenCode goes on working on this computer. The password stays as it is.</p>${back}`;
  const panic = async () => {
    const { value } = await send("POST", "/panic");
    present("All access is ended", html`<p>${inert(value || "Everything that was open from outside is closed.")}</p>${back}`);
  };
  return html`<section class="sheet" aria-labelledby="end-all"><h2 id="end-all">In an emergency</h2>
    <div class="row between wrap"><p class="grow broad">Somebody is in who should not be? This closes every way in at once. OpenCode goes on working here.</p>
      <${Act} kind="danger" doing="Ending…" act=${panic}
        ask=${{ title: "End all access now?", body, yes: "End all access", danger: true }}>End all access…<//></div></section>`;
}

const EVENTS = {
  "sign-in": ["up", "Signed in"], "ticket-used": ["up", "Came in by a one-time link"],
  "sign-in-failed": ["down", "Wrong password"], "sign-in-refused": ["down", "Sign-in refused"],
  "ticket-refused": ["down", "One-time link refused"], denied: ["down", "Refused"],
  locked: ["busy", "Address locked out"], paused: ["busy", "Password sign-in paused for everybody"],
  "sign-out": ["off", "Signed out"], "session-ended": ["off", "Session ended"],
  "password-set": ["up", "Password set"], "password-cleared": ["off", "Password removed"],
  "access-paused": ["off", "Remote access paused"], "access-resumed": ["up", "Remote access resumed"],
  panic: ["off", "All access ended"],
};
/** Texts of rows that say no more than the event itself. */
const SAID = ["", "signed in", "wrong password", "all access ended", "resumed"];
const WHO = { owner: "You, the owner", stranger: "A stranger", "nexus-tray": "Nexus Tray" };

/** One row in words: what, by whom, from where, and what more is known. */
function told({ event, who, address, text }) {
  const [kind, what] = EVENTS[event] || ["unknown", inert(event)];
  const more = SAID.includes(text) ? "" : inert(text);
  return { kind, what, by: WHO[who] || inert(who), address: from(address), more };
}

function Trail({ trail }) {
  const [text, setText] = useState("");
  const now = useNow();
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = trail.map((entry) => ({ ...told(entry), id: entry.id, at: entry.at }));
  const shown = rows.filter((row) => {
    const whole = `${row.what} ${row.by} ${row.address} ${row.more}`.toLowerCase();
    return words.every((word) => whole.includes(word));
  });
  return html`<section class="sheet" aria-labelledby="trail"><div class="row between wrap">
      <h2 id="trail">What happened at the doors</h2>
      <input type="search" aria-label="Words that all occur" placeholder="Words" spellcheck=${false} autocomplete="off"
        value=${text} onInput=${(event) => setText(event.target.value)} /></div>
    <p class="dim small" role="status">${tally(shown.length, trail.length, words.length)}</p>
    <ul class="list trail">${shown.map((row) => html`<li key=${row.id}>
      <span class="dim small when"><${When} at=${row.at} now=${now} /></span>
      <div class="grow"><${State} kind=${row.kind} word=${row.what} />
        ${row.more && html`<div class="small">${row.more}</div>`}</div>
      <span class="dim small by">${row.by} · <span class="mono">${row.address}</span></span></li>`)}</ul></section>`;
}

const NEWEST = 100;

function tally(shown, all, filtered) {
  if (!all) return "Nothing yet.";
  const kept = all >= NEWEST ? `the newest ${NEWEST}` : `${all} in all`;
  return filtered ? `${shown} of ${kept} ${shown === 1 ? "matches" : "match"}.` : `${capital(kept)}, newest first.`;
}
