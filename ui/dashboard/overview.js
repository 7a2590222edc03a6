// The first page: how things stand, the path of a request, what OpenCode asks, the services.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, State, Why, openOpenCode, present, presentQr, sessionPath } from "/parts.js";
import { PauseControl } from "/pause.js";
import { Question } from "/questions.js";
import { ServiceCard, restart } from "/services.js";
import { HOPS, HOP_WORDS, capital, clock, day, inert, span, tail } from "/words.js";

export function Overview({ live }) {
  const { snapshot, notes, unread } = live;
  const questions = snapshot.activity?.questions || [];
  return html`<div class="stack">
    <${Later} load=${async () => (await import("/setup-banner.js")).SetupBanner} boot=${live.boot} />
    <${Head} snapshot=${snapshot} />
    ${questions.length > 0 && html`<section aria-labelledby="asks" class="stack">
      <h2 id="asks" class="unseen">OpenCode asks</h2>
      ${questions.map((one) => html`<${Question} key=${one.id} question=${one}
        session=${snapshot.activity.sessions.find((s) => s.id === one.session_id)} />`)}</section>`}
    <${Path} snapshot=${snapshot} />
    <div class="grid">${snapshot.services.map((one) =>
      html`<${ServiceCard} key=${one.name} service=${one} activity=${snapshot.activity} said=${snapshot.reason} />`)}</div>
    <section class="sheet traffic" aria-label="Traffic"><div class="traffic-body">
      <${Later} load=${async () => (await import("/traffic.js")).Traffic} /></div></section>
    <${Sessions} activity=${snapshot.activity} />
    <${Lately} notes=${notes} unread=${unread} />
  </div>`;
}

/** A part that is read once the page stands; again, if the program was away just then. */
function Later({ load, ...given }) {
  const [Part, set] = useState(null);
  const [error, fail] = useState(null);
  useEffect(() => {
    let timer = 0;
    const read = () => load().then((part) => set(() => part)).catch((problem) => {
      fail(problem);
      timer = setTimeout(read, 3000);
    });
    read();
    return () => clearTimeout(timer);
  }, []);
  return Part ? html`<${Part} ...${given} />`
    : error && html`<p class="dim">A part of this page could not be read. It is asked for again.</p>`;
}

/** The headline, why, and what to do. */
function Head({ snapshot }) {
  const { reason, address } = snapshot;
  const headline = address ? snapshot.headline.replace(` at ${address}`, " from anywhere") : snapshot.headline;
  const service = reason && blamed(snapshot);
  return html`<header class="row between wrap top"><div><h1>${inert(headline)}</h1>
      ${reason && html`<${Why} reason=${reason} what=${reason.what !== snapshot.headline} />`}
      ${service && html`<${NextTry} service=${service} />`}
      ${reason?.code === "no-password" && html`<p><a class="btn primary" href="#/settings?at=password">Choose a password</a></p>`}
    </div>
    <${PauseControl} snapshot=${snapshot} />
    <${Act} act=${() => openOpenCode()} doing="Opening…">Open OpenCode<//></header>`;
}

/** The service that the reason speaks of. */
function blamed({ services, reason }) {
  return services.find((service) => service.reason?.code === reason.code && service.next_try_at);
}

function NextTry({ service }) {
  const now = useNow();
  return html`<p class="row wrap"><span class="dim">Next try in ${span(Math.max(0, service.next_try_at - now))}.</span>
    <${Act} act=${() => restart(service)} doing="Trying…" kind="primary">Try now<//></p>`;
}

const Path = ({ snapshot }) => html`<section class="sheet" aria-labelledby="path">
  <h2 id="path" class="unseen">The path of a request</h2>
  <div class="row between wrap address">
    ${snapshot.address
      ? html`<a class="mono link" href=${snapshot.address} target="_blank" rel="noreferrer">${snapshot.address}</a>
        <div class="row"><${Copy} text=${snapshot.address} name="Copy the address" />
          <button type="button" onClick=${() => presentQr(snapshot.address)}>QR code</button></div>`
      : html`<span class="dim">No address now.</span>`}
  </div>
  <ol class="path">${snapshot.path.map((hop, at) => html`<${Station} key=${hop.hop} hop=${hop}
    next=${snapshot.path[at + 1]} snapshot=${snapshot} />`)}</ol></section>`;

/** One hop; a press on it tells what is known of it. */
function Station({ hop, next, snapshot }) {
  const broken = next && [hop.state, next.state].includes("down") ? "broken" : "";
  const cold = next && ["off", "unknown"].includes(next.state) ? "cold" : "";
  const short = hop.text.length > 60 ? `${hop.text.slice(0, 58)}…` : hop.text;
  return html`<li class="hop ${hop.state} ${broken || cold}"><button type="button" class="plain"
      aria-haspopup="dialog" onClick=${() => explain(hop)}>
    <b>${HOPS[hop.hop]}<span class="unseen">: ${HOP_WORDS[hop.state]}, </span></b>
    <span class="small">${inert(short)}</span></button></li>`;
}

const MEANINGS = {
  device: "Your phone or another computer, with a browser.",
  edge: "Cloudflare’s nearest place. It answers for your address and sends requests down the tunnel.",
  cloudflared: "The tunnel program on this machine. It calls out to Cloudflare, so no port is open here.",
  gateway: "The only door. It asks for your password and lets nobody else through.",
  opencode: "The coding agent itself, which listens on this machine only.",
};

function explain(hop) {
  present(HOPS[hop.hop], html`<p><${State} kind=${hop.state} word=${capital(HOP_WORDS[hop.state])} /></p>
    <p>${inert(capital(hop.text))}</p>${hop.reason && html`<${Why} reason=${hop.reason} what=${hop.reason.what !== hop.text} />`}
    <p class="dim">${MEANINGS[hop.hop]}</p>
    <${Later} load=${async () => (await import("/hops.js")).HopFigures} hop=${hop} />`);
}

const ORDER = ["waiting", "working", "interrupted", "unknown", "idle"];
const SESSION = { waiting: ["busy", "Waits for you"], working: ["up", "Working"], interrupted: ["down", "Interrupted"], idle: ["off", "Idle"], unknown: ["unknown", "Not known"] };
const FEW = 6;

/** OpenCode's sessions, what waits or works first. */
function Sessions({ activity }) {
  const [all, setAll] = useState(false);
  const now = useNow();
  if (!activity) return null;
  const sorted = [...activity.sessions].sort((a, b) =>
    ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (b.updated_at || 0) - (a.updated_at || 0));
  const shown = all ? sorted : sorted.slice(0, FEW);
  return html`<section class="sheet" aria-labelledby="sessions"><h2 id="sessions">OpenCode sessions</h2>
    ${!sorted.length && html`<p class="dim">None yet. They appear here when you talk to OpenCode.</p>`}
    <ul class="list">${shown.map((one) => html`<${SessionRow} key=${one.id} session=${one} now=${now} />`)}</ul>
    ${sorted.length > FEW && html`<button type="button" onClick=${() => setAll(!all)}>
      ${all ? "Show fewer" : `Show all ${sorted.length}`}</button>`}</section>`;
}

function SessionRow({ session, now }) {
  const [error, setError] = useState(null);
  const [kind, word] = SESSION[session.state];
  const title = inert(session.title) || "Untitled";
  return html`<li><div class="grow"><b>${title}</b>
      <div class="dim small"><span class="mono" title=${inert(session.directory)}>${inert(tail(session.directory))}</span>
        ${session.updated_at != null && ` · ${span(now - session.updated_at)} ago`}
        ${session.cost ? ` · $${session.cost.toFixed(2)}` : ""}</div><${Failure} error=${error} /></div>
    <${State} kind=${kind} word=${word} />
    <${Act} act=${() => openOpenCode(sessionPath(session))} doing="Opening…" fail=${setError}
      name="Open ${title}">Open<//></li>`;
}

const SHOWN = 12;

/** The journal's notes, newest first. */
function Lately({ notes, unread }) {
  const today = day(Date.now() / 1000);
  return html`<section class="sheet" aria-labelledby="lately"><div class="row between"><h2 id="lately">What happened lately</h2>
      <a href="#/logs">All logs</a></div>
    <${Failure} error=${unread} />
    ${!notes.length && !unread && html`<p class="dim">Nothing since this program started.</p>`}
    <ul class="list notes">${notes.slice(0, SHOWN).map((note) => html`<li key=${note.id}>
      <time class="mono dim" datetime=${new Date(note.at * 1000).toISOString()}>
        ${day(note.at) === today ? "" : `${day(note.at)} `}${clock(note.at, false)}</time>
      <span class="grow ${note.reason ? "grave" : ""}">${inert(note.note)}</span></li>`)}</ul></section>`;
}
