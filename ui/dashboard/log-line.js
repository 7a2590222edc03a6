// The text of a log line, made harmless, with what was searched for marked in it.

import { html } from "/vendor/preact-htm.js";
import { inert } from "/words.js";

const SHOWN = 1200; // characters of a line in the list; the whole is a press away
const MOST_MARKS = 40;

/** A test for marks: the words (any of them) or the pattern; null marks nothing. */
export function marker({ words, pattern }) {
  try {
    if (pattern) return new RegExp(pattern, "gu");
    const parts = (words || "").split(/\s+/).filter(Boolean);
    if (!parts.length) return null;
    return new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&")).join("|"), "gi");
  } catch {
    return null; // Python's patterns are not JavaScript's: the lines are right, the marks are missing
  }
}

export function Marked({ text, test, most = SHOWN }) {
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  if (!test) return inert(cut);
  const pieces = [];
  let at = 0;
  for (const found of cut.matchAll(test)) {
    if (!found[0] || pieces.length > MOST_MARKS * 2) continue;
    pieces.push(inert(cut.slice(at, found.index)), html`<mark>${inert(found[0])}</mark>`);
    at = found.index + found[0].length;
  }
  return [...pieces, inert(cut.slice(at))];
}
