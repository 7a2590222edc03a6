// What is true now: the Snapshot, what happened lately, and whether the line to it stands.
//
// One store for the page. The stream begins with a whole Snapshot and every change is a
// whole Snapshot again, so there is nothing to merge and nothing that can drift.

import { follow, forget, get } from "/api.js";
import { useEffect, useState } from "/vendor/preact-htm.js";

const NOTES = 60;

const listeners = new Set();
let state = {
  snapshot: null, // the newest one
  notes: [], // newest first: { id, at, note, service, reason }
  line: "opening", // opening, open, lost, ended
  lostAt: 0,
  ended: null, // the reason, once the token is no longer good
  boot: "", // changes when the program restarted
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

export function start() {
  follow({
    event: take,
    open: () => change({ line: "open" }),
    lost: () => state.line !== "lost" && change({ line: "lost", lostAt: Date.now() / 1000 }),
    ended: end,
  }, new AbortController().signal);
}

/** The token is no longer good: another start of the program, which knows nothing of this tab. */
export function end(reason) {
  forget();
  change({ line: "ended", ended: reason });
}

function take(event) {
  if (event.kind === "note") return addNotes([event]);
  const snapshot = event.snapshot;
  if (snapshot.boot_id !== state.boot) {
    change({ snapshot, notes: [], boot: snapshot.boot_id });
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

/** What happened before this page was opened, as far back as the journal still knows. */
async function recall({ boot_id: boot, cursor }) {
  for (const back of [950, 300, 100, 30]) {
    const since = `${boot}:${Math.max(0, cursor - back)}`;
    try {
      const { events } = await get(`/journal?since=${encodeURIComponent(since)}`);
      if (events.some((event) => event.kind === "reset")) continue;
      return addNotes(events.filter((event) => event.kind === "note"));
    } catch (error) {
      console.warn("the journal could not be read", error);
      return undefined;
    }
  }
  return undefined;
}
