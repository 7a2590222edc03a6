// What is true now: the Snapshot, what happened lately, and whether the line to it stands.
//
// One store for the page. The stream begins with a whole Snapshot and every change is a
// whole Snapshot again, so there is nothing to merge and nothing that can drift.

import { follow, forget, get, whenDenied } from "/api.js";
import { useEffect, useState } from "/vendor/preact-htm.js";

const NOTES = 60;
const AGAIN_MS = 1500;
const NOTICED = 1.5; // seconds: a shorter loss of the line is not worth a word

const listeners = new Set();
let state = {
  snapshot: null, // the newest one
  notes: [], // newest first: { id, at, note, service, reason }
  unread: null, // why what happened before is not known
  line: "opening", // opening, open, lost, ended
  lostAt: 0,
  ended: null, // the reason, once the token is no longer good
  boot: "", // changes when the program restarted: what was read of it may be different now
  back: null, // { text }: what the page has just recovered from
};

function change(more) {
  state = { ...state, ...more };
  for (const listener of listeners) listener(state);
}

/** The state, and a new drawing when it changes. */
export function useLive() {
  const [now, set] = useState(state);
  useEffect(() => {
    set(state);
    listeners.add(set);
    return () => listeners.delete(set);
  }, []);
  return now;
}

/** Seconds since the epoch, drawn anew every second while `on`. */
export function useNow(on = true) {
  const [now, set] = useState(Date.now() / 1000);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => set(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, [on]);
  return now;
}

const line = new AbortController();

export function start() {
  whenDenied(end);
  follow({ event: take, open: opened, lost, ended: end }, line.signal);
}

function opened() {
  const away = state.line === "lost" ? Date.now() / 1000 - state.lostAt : 0;
  change({ line: "open" });
  if (away > NOTICED) change({ back: { text: "Nexus Tray answers again." } });
}

function lost() {
  if (state.line !== "lost") change({ line: "lost", lostAt: Date.now() / 1000 });
}

/** The token is no longer good: another start of the program, which knows nothing of this
 *  tab, or all access was ended. What is on the page stays, marked as old. */
function end(reason) {
  if (state.line === "ended") return;
  forget();
  line.abort();
  change({ line: "ended", ended: reason });
}

function take(event) {
  if (event.kind === "note") return addNotes([event]);
  const snapshot = event.snapshot;
  if (snapshot.boot_id !== state.boot) {
    const back = state.boot ? { text: "Nexus Tray was started again. This is how it stands now." } : state.back;
    change({ snapshot, notes: [], boot: snapshot.boot_id, back });
    recall(snapshot);
  } else if (event.kind === "reset") {
    change({ snapshot, back: { text: "This page had fallen behind. It shows the present state again." } });
    recall(snapshot);
  } else {
    change({ snapshot });
  }
  return undefined;
}

function addNotes(found) {
  const known = new Set(state.notes.map((note) => note.id));
  const notes = [...found.filter((note) => !known.has(note.id)), ...state.notes];
  notes.sort((a, b) => b.id - a.id);
  change({ notes: notes.slice(0, NOTES) });
}

/** What happened before this page was opened, as far back as the journal still knows.
 *  Asked again until it is answered, or another start of the program makes it idle. */
async function recall({ boot_id: boot, cursor }) {
  for (const back of [950, 300, 100, 30]) {
    const since = `${boot}:${Math.max(0, cursor - back)}`;
    try {
      const { events } = await get(`/journal?since=${encodeURIComponent(since)}`);
      if (state.boot !== boot) return undefined;
      if (state.unread) change({ unread: null });
      if (events.some((event) => event.kind === "reset")) continue;
      return addNotes(events.filter((event) => event.kind === "note"));
    } catch (error) {
      if (state.boot !== boot || state.line === "ended") return undefined;
      change({ unread: error });
      setTimeout(() => state.boot === boot && recall(state.snapshot), AGAIN_MS);
      return undefined;
    }
  }
  return undefined;
}
