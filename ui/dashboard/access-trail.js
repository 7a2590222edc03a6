// What happened at the doors: searched where it is kept, paged backwards, folded, exported.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { get, query } from "/api.js";
import { Download } from "/download.js";
import { useFetched } from "/fetched.js";
import { useNow } from "/live.js";
import { Failure, State, useAction } from "/parts.js";
import { When } from "/when.js";
import { inert } from "/words.js";

const PAGE = 100;
const TYPING_MS = 250;

export const EVENTS = {
  "sign-in": ["up", "Signed in"], "ticket-used": ["up", "Came in by a one-time link"], paired: ["up", "Paired"],
  "token-used": ["up", "API token used"],
  "sign-in-failed": ["down", "Sign-in failed"], "sign-in-refused": ["down", "Sign-in refused"],
  "ticket-refused": ["down", "One-time link refused"], "pairing-refused": ["down", "Pairing link refused"],
  "token-refused": ["down", "API token refused"],
  "passkey-refused": ["down", "Passkey refused"], "passkey-copied": ["down", "Passkey may be a copy"], denied: ["down", "Refused"],
  "step-up-failed": ["down", "Wrong password here"],
  locked: ["busy", "Address locked out"], paused: ["busy", "Password sign-in paused for everybody"],
  "sign-out": ["off", "Signed out"], "session-ended": ["off", "Session ended"], "device-renamed": ["off", "Device renamed"],
  "password-set": ["up", "Password set"], "password-cleared": ["off", "Password removed"],
  "second-factor-set": ["up", "Second factor turned on"], "second-factor-removed": ["off", "Second factor turned off"],
  "recovery-codes-made": ["up", "Recovery codes made"],
  "passkey-added": ["up", "Passkey added"], "passkey-removed": ["off", "Passkey removed"],
  "pairing-made": ["up", "Pairing link made"], "pairings-ended": ["off", "Pairing links void"],
  "token-made": ["up", "API token made"], "token-ended": ["off", "API token ended"],
  "access-paused": ["off", "Remote access paused"], "access-resumed": ["up", "Remote access resumed"],
  "idle-closed": ["off", "Closed: nobody used it"], panic: ["off", "All access ended"],
};
const KINDS = [
  ["", "Everything"],
  ["in", "Who came in", ["sign-in", "ticket-used", "paired", "token-used"]],
  ["refused", "Who was refused", ["sign-in-failed", "sign-in-refused", "ticket-refused", "pairing-refused",
    "token-refused", "passkey-refused", "passkey-copied", "denied", "step-up-failed", "locked", "paused"]],
  ["changed", "What was changed", ["password-set", "password-cleared", "second-factor-set", "second-factor-removed",
    "recovery-codes-made", "passkey-added", "passkey-removed", "pairing-made", "pairings-ended", "token-made", "token-ended", "device-renamed",
    "access-paused", "access-resumed", "idle-closed", "panic"]],
];
/** Texts of rows that say no more than the event itself. */
const SAID = ["", "signed in", "all access ended", "resumed", "paired"];
const WHO = { owner: "You, the owner", stranger: "A stranger", "nexus-tray": "Nexus Tray" };
export const from = (address) => (address === "local" ? "this computer" : inert(address));

/** One row in words: what, by whom, from where, and what more is known. */
function told({ event, who, address, text }) {
  const [kind, what] = EVENTS[event] || ["unknown", inert(event)];
  return { kind, what, by: WHO[who] || inert(who), address: from(address), more: SAID.includes(text) ? "" : inert(text) };
}

/** Rows that follow one another and say the same become one, with how many they are. */
export function folded(entries) {
  const rows = [];
  for (const entry of entries) {
    const last = rows.at(-1);
    const same = last && ["event", "who", "address", "text"].every((key) => last.entry[key] === entry[key]);
    if (same) Object.assign(last, { times: last.times + 1, first: entry.at });
    else rows.push({ entry, times: 1, first: entry.at });
  }
  return rows;
}

const useTyped = (text) => {
  const [settled, set] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => set(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
};

/** `tick` changes when the newest page is to be read anew. */
export function Trail({ tick, live }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const [older, setOlder] = useState(null); // what was paged to, with the filters it belongs to
  const now = useNow();
  const words = useTyped(text.trim());
  const filters = { words, events: KINDS.find(([key]) => key === kind)[2] };
  const mark = JSON.stringify(filters);
  const [page, error] = useFetched(async (signal) =>
    ({ ...await get(`/audit${query({ ...filters, limit: PAGE })}`, signal), mark }), [mark, tick, live.boot]);
  const paged = older?.mark === mark ? older : null;
  const newest = page?.mark === mark ? page : null;
  const top = newest?.entries || [];
  // what was read further down stays; a row that came meanwhile moves none of it
  const entries = paged ? [...top.filter((row) => row.id > paged.top), ...paged.entries] : top;
  const more = paged ? paged.more : newest?.more;
  const [busy, fault, run] = useAction(async () => {
    const found = await get(`/audit${query({ ...filters, before: entries.at(-1).id, limit: PAGE })}`);
    setOlder({ mark, top: entries[0].id, entries: [...entries, ...found.entries], more: found.more });
  });
  const rows = folded(entries);
  return html`<section class="sheet" aria-labelledby="trail"><div class="row between wrap">
      <h2 id="trail">What happened at the doors</h2><${Download} path="/audit/export" filters=${filters} name="nexus-tray-audit" /></div>
    <div class="row wrap filters"><select aria-label="Which events" value=${kind} onChange=${(event) => setKind(event.target.value)}>
        ${KINDS.map(([key, name]) => html`<option value=${key} selected=${key === kind}>${name}</option>`)}</select>
      <input type="search" class="grow" aria-label="Words that all occur" placeholder="Words" spellcheck=${false} autocomplete="off"
        value=${text} onInput=${(event) => setText(event.target.value)} /></div>
    <p class="dim small" role="status">${newest ? tally(entries.length, more, Boolean(words || kind)) : "Reading…"}</p>
    <${Failure} error=${error || fault} />
    <ul class="list trail">${rows.map(({ entry, times, first }) => html`<${Row} key=${entry.id} entry=${entry} times=${times} first=${first} now=${now} />`)}</ul>
    ${more && html`<button type="button" aria-disabled=${busy ? "true" : null} onClick=${run}>${busy ? "Reading…" : "Older"}</button>`}</section>`;
}

function Row({ entry, times, first, now }) {
  const row = told(entry);
  return html`<li><span class="dim small when"><${When} at=${entry.at} now=${now} /></span>
    <div class="grow"><${State} kind=${row.kind} word=${row.what} />
      ${times > 1 && html` <span class="pill">${times} times</span>`}
      ${row.more && html`<div class="small">${row.more}</div>`}
      ${times > 1 && html`<div class="dim small">first <${When} at=${first} now=${now} /></div>`}</div>
    <span class="dim small by">${row.by} · <span class="mono">${row.address}</span></span></li>`;
}

function tally(many, more, filtered) {
  if (!many) return filtered ? "Nothing matches." : "Nothing yet.";
  const what = filtered ? (many === 1 ? "match" : "matches") : (many === 1 ? "entry" : "entries");
  return more ? `The newest ${many} ${what}, newest first.` : `${many} ${what}, newest first.`;
}
