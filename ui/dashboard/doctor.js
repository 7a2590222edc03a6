// The doctor: everything examined, what is wrong first, each with why, what to do, and a button
// where we can do it. Below: the programs, and the bundle for whoever helps.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, State, say, toast, useAction } from "/parts.js";
import { Bundle } from "/doctor-bundle.js";
import { FOUND, report, summary, why } from "/doctor-report.js";
import { Programs, useSetup } from "/programs.js";
import { clock, inert, span } from "/words.js";

let last = null; // of this tab: going to another page and back does not examine again
let under = null; // an examination under way, whoever began it

const examine = () => (under ||= send("POST", "/examinations").finally(() => { under = null; }));

export function Doctor({ live }) {
  const [found, set] = useState(last);
  const [busy, error, run] = useAction(async () => {
    last = await examine();
    set(last);
    say(`Examined: ${summary(last.checks)}.`);
  });
  const [setup, failed, read] = useSetup([live.boot, found?.at]);
  useEffect(() => { if (!last) run(); }, []);
  return html`<div class="stack"><header class="row top wrap"><div><h1>Doctor</h1>
      <p class="dim">Looks at everything between your phone and OpenCode, and says what to do. Looking changes nothing.</p></div>
    <div class="row wrap">${found && html`<${Copy} text=${report(found)} name="Copy report">Copy report</${Copy}>`}
      <button type="button" class="primary" aria-busy=${busy ? "true" : null} aria-disabled=${busy ? "true" : null}
        onClick=${run}>${again(busy, found)}</button></div></header>
    <${Failure} error=${error} />
    <${Progress} busy=${busy} found=${found} />
    ${found && html`<${Found} found=${found} again=${run} />`}
    ${(found || error) && (setup || failed) && html`<${Programs} setup=${setup} error=${failed} read=${read} /><${Bundle} />`}</div>`;
}

const again = (busy, found) => {
  if (busy) return "Examining…";
  return found ? "Examine again" : "Examine";
};

/** While it goes on: how long; afterwards: when it was and what came of it. */
function Progress({ busy, found }) {
  const now = useNow(busy || Boolean(found));
  const [began, setBegan] = useState(null);
  useEffect(() => { setBegan(busy ? Date.now() / 1000 : null); }, [busy]);
  const since = began === null ? 0 : Math.max(0, now - began);
  return html`<div class="sheet doctor-sum">
    <b>${found ? summary(found.checks) : "Nothing is examined yet"}</b>
    <span class="dim">${busy ? `Examining, for ${span(since)}; at most 12 s.`
      : found && `Examined at ${clock(found.at, false)}, ${span(Math.max(0, now - found.at))} ago.`}</span>
    <progress class=${busy ? "" : "rest"} max="12" value=${busy ? Math.min(since, 12) : 12} aria-label="Examination"
      aria-hidden=${busy ? null : "true"}></progress></div>`;
}

function Found({ found, again: run }) {
  const rest = found.checks.filter((one) => one.state === "good");
  const open = found.checks.filter((one) => one.state !== "good")
    .sort((one, other) => FOUND[one.state][2] - FOUND[other.state][2]);
  return html`${open.length > 0 && html`<section class="sheet" aria-labelledby="doctor-open">
      <h2 id="doctor-open">What is not well, or not known</h2>
      <ul class="list">${open.map((one) => html`<${One} key=${one.code} check=${one} again=${run} />`)}</ul></section>`}
    <section class="sheet" aria-labelledby="doctor-good"><h2 id="doctor-good">What is fine</h2>
      ${rest.length === 0 ? html`<p>Nothing is known to be fine.</p>` : html`<details open=${open.length === 0}>
        <summary>${rest.length === 1 ? "1 check is fine" : `${rest.length} checks are fine`}</summary>
        <ul class="list">${rest.map((one) => html`<${One} key=${one.code} check=${one} />`)}</ul></details>`}</section>`;
}

function One({ check, again: run }) {
  const [kind, word] = FOUND[check.state];
  const told = why(check);
  return html`<li class="check"><${State} kind=${kind} word=${word} />
    <div class="grow"><p><b>${inert(check.title)}</b> <span class="wrap">${inert(check.text)}</span></p>
      ${told.map((text) => html`<p class="wrap">${text}</p>`)}</div>
    ${check.repair && html`<${Act} act=${() => repair(check, run)} doing="Repairing…" ask=${RISKS(check)}
      name="${inert(check.repair)}: ${inert(check.title)}">${inert(check.repair)}</${Act}>`}
    ${check.command && html`<${Copy} text=${check.command} name="Copy command ${check.command}">Copy command</${Copy}>`}</li>`;
}

async function repair(check, run) {
  const { value } = await send("POST", `/checks/${encodeURIComponent(check.code)}/repairs`);
  toast(inert(value) || "Done.");
  await run();
}

/** What a repair costs is asked first; most cost nothing. */
const RISKS = ({ code, repair: label }) => (code.startsWith("opencode-") || code.startsWith("tunnel-")) && {
  title: `${inert(label)}?`,
  text: code.startsWith("opencode-") ? "What the agent is doing now is cut off."
    : "Whoever uses it now is cut off for a moment; a quick tunnel gets a new address.",
  yes: inert(label),
};
