// An examination in words: for the page, and as plain text for a bug report. Pure. What comes
// from the program is without secrets already (nexus_tray/finding.py); the text is made as
// nexus_tray/cli/doctor.py makes it.

import { inert } from "/words.js";

/** Each state's class, word, and place: what is wrong comes first. */
export const FOUND = {
  bad: ["down", "Wrong", 0], warning: ["busy", "Attend to", 1],
  unknown: ["off", "Not known", 2], good: ["up", "Good", 3],
};

const COUNTED = [["bad", "wrong"], ["warning", "to attend to"], ["unknown", "not known"], ["good", "good"]];

/** How many are how: "1 wrong, 18 good". */
export function summary(checks) {
  const parts = COUNTED.map(([state, word]) => [checks.filter((one) => one.state === state).length, word]);
  return parts.filter(([number]) => number).map(([number, word]) => `${number} ${word}`).join(", ")
    || "Nothing was examined.";
}

/** The lines under a check that is not good: what it means, what to do. */
export function why(check) {
  const { reason } = check;
  if (!reason || check.state === "good") return [];
  const parts = [reason.what === check.text ? "" : reason.what, reason.meaning, reason.cure];
  const told = parts.filter(Boolean).map(inert);
  if (check.command && !(reason.cure || "").includes(check.command)) told.push(inert(check.command));
  return told;
}

/** The whole examination for a bug report. */
export function report({ at, checks }) {
  const when = new Date(at * 1000).toISOString().slice(0, 19).replace("T", " ");
  const lines = [`Nexus Tray, examined ${when} UTC`, ""];
  for (const check of checks) {
    lines.push(`[${check.state}] ${inert(check.title)}: ${inert(check.text)}`);
    for (const part of why(check)) lines.push(`    ${part}`);
  }
  return [...lines, "", summary(checks)].join("\n");
}
