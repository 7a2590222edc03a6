// Closing remote access for a while, and opening it again. How long is counted from the press.

import { html, useRef } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { Act, present, toast } from "/parts.js";
import { inert, moment } from "/words.js";

const MORNING = 6; // the hour at which tomorrow begins; the same in nexus_tray/core/moments.py

function tomorrow() {
  const now = new Date();
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1, MORNING).getTime() / 1000;
}

const SPANS = [
  ["15 minutes", () => Date.now() / 1000 + 900],
  ["1 hour", () => Date.now() / 1000 + 3600],
  [`Until tomorrow, ${MORNING}:00`, tomorrow],
  ["Until I resume", () => null],
];

/** What can be done about remote access as a whole: pause it, or resume it. */
export function PauseControl({ snapshot }) {
  if (snapshot.paused) return html`<${Resume} snapshot=${snapshot} />`;
  if (!snapshot.services.some((service) => service.kind === "tunnel")) return null;
  return html`<button type="button" class="act" aria-haspopup="dialog" aria-label="Pause remote access"
    onClick=${() => present("Pause remote access", html`<${Choices} />`)}>Pause…</button>`;
}

function Resume({ snapshot }) {
  const until = snapshot.paused_until;
  const said = snapshot.reason?.code.startsWith("paused");
  const resume = async () => toast(inert((await send("DELETE", "/pause")).value) || "Remote access is open again.");
  const words = until == null ? "until you resume it" : `until ${moment(until)}`;
  const button = html`<${Act} act=${resume} doing="Resuming…" kind="primary" name="Resume remote access">Resume<//>`;
  if (said) return button;
  return html`<div class="row wrap"><p class="dim">Remote access is paused ${words}.</p>${button}</div>`;
}

function Choices() {
  const box = useRef(null);
  const pause = async (end) => {
    const { value } = await send("PUT", "/pause", { until_at: end() });
    box.current.closest("dialog").close();
    toast(inert(value) || "Remote access is paused.");
  };
  return html`<div ref=${box} class="stack"><p>The tunnels stop and what is open from outside ends.
      OpenCode goes on working here, and everybody stays signed in.</p>
    <div class="row wrap">${SPANS.map(([word, end]) => html`<${Act} key=${word} act=${() => pause(end)}
      doing="Pausing…">${word}<//>`)}</div></div>`;
}
