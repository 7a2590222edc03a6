// Figures and foreign text as people read them. Pure.

// The same decision as nexus_tray/inert.py: these act instead of being shown. Tab is shown.
const ACTING =
  /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]/gu;

/** Text on one line, with every acting character spelled out, as in `\x1b[31m`. */
export const inert = (text) => text.replace(ACTING, spelled);

function spelled(mark) {
  if (mark === "\n") return "\\n";
  if (mark === "\r") return "\\r";
  const code = mark.codePointAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, "0")}`
    : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** A span in its largest fitting unit, as the rest of Nexus Tray says it: "8 s", "3 min". */
export function span(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
}

/** A longer one: "3 h 12 min". */
export function age(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return span(seconds);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

export function bytes(number) {
  if (number < 1e6) return `${Math.round(number / 1e3)} kB`;
  return number < 1e9 ? `${(number / 1e6).toFixed(0)} MB` : `${(number / 1e9).toFixed(1)} GB`;
}

export const count = (number) => number.toLocaleString("en");

const two = (number) => String(number).padStart(2, "0");

/** "14:02:11.482", in this machine's time. */
export function clock(at, millis = true) {
  const day = new Date(at * 1000);
  const text = `${two(day.getHours())}:${two(day.getMinutes())}:${two(day.getSeconds())}`;
  return millis ? `${text}.${String(day.getMilliseconds()).padStart(3, "0")}` : text;
}

/** "22 Nov", and the year when it is not this one. */
export function day(at) {
  const when = new Date(at * 1000);
  const year = when.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return when.toLocaleDateString("en-GB", { day: "numeric", month: "short", year });
}

/** A time to come: "14:30", with the day where that could be unclear. */
export function moment(at, now = Date.now() / 1000) {
  const text = clock(at, false).slice(0, 5);
  return day(at) === day(now) || at - now < 43200 ? text : `${day(at)}, ${text}`;
}

/** The value of a datetime-local field. */
export function local(at) {
  const when = new Date(at * 1000);
  return `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`
    + `T${clock(at, false)}`;
}

/** "/home/me/src/x" with the folder's own name last and long ways cut in front. */
export const tail = (path, most = 38) => (path.length > most ? `…${path.slice(1 - most)}` : path);

export const STATES = {
  stopped: ["off", "Stopped"], starting: ["busy", "Starting"], running: ["up", "Running"],
  degraded: ["down", "Not well"], stopping: ["busy", "Stopping"],
  backoff: ["down", "Waiting to try again"], failed: ["down", "Failed"],
};

export const HOPS = {
  device: "Your devices", edge: "Cloudflare edge", cloudflared: "cloudflared",
  gateway: "Gateway", opencode: "OpenCode",
};

export const HOP_WORDS = { up: "well", busy: "busy", down: "broken", off: "off", unknown: "not known" };

/** How a sentence names a service. */
export function title(service) {
  if (service.kind === "opencode") return "OpenCode";
  return service.kind === "gateway" ? "Gateway" : `Tunnel “${service.name}”`;
}

/** The first letter as a sentence begins. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// -- tunnels ------------------------------------------------------------------------------------

export const JOB_STATES = {
  running: ["busy", "Under way"], waiting: ["busy", "Waits for you"], done: ["up", "Done"],
  failed: ["down", "Failed"], cancelled: ["off", "Cancelled"],
};

/** It goes on no more; a failed one can be gone on with, an ended one not. */
export const isOver = (job) => job.state === "failed" || hasEnded(job);
export const hasEnded = (job) => ["done", "cancelled"].includes(job.state);

/** What a job does. */
export function jobTitle({ kind, subject }) {
  const name = `“${inert(subject)}”`;
  if (kind === "login") return "Sign in at Cloudflare";
  if (kind === "create") return `Make tunnel ${name}`;
  if (kind === "delete") return `Delete tunnel ${name}`;
  if (kind === "unread") return "What was not finished";
  return kind === "routes" ? `Lead host names to ${name}` : capital(`${inert(kind)} ${subject && name}`);
}

/** Where a route leads, as people say it. */
export const goal = (service) => (service ? inert(service) : "OpenCode");
