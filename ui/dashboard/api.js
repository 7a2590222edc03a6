// The wire to the local API: the token, requests, and the two kinds of stream.
//
// The token comes from a one-time ticket behind `#` of the address, and lives in this tab's
// sessionStorage. It goes out as a header; there are no cookies, for cookies ignore ports.

const BASE = "/api/v1";
const KEY = "nexus-token";

/** A refusal: `reason` is { code, what, meaning, cure }, as all of Nexus Tray says them. */
export class Refused extends Error {
  constructor(status, reason) {
    super(reason.what);
    this.status = status;
    this.reason = reason;
  }
}

const SILENT = {
  code: "page-no-answer",
  what: "Nexus Tray does not answer.",
  meaning: "What is shown may be old.",
  cure: "The page tries again by itself; or see whether it runs: nexus-tray status",
};
const UNSURE = {
  code: "page-no-answer",
  what: "Nexus Tray did not answer.",
  meaning: "Whether it was done is not known. The page does not do it again by itself.",
  cure: "When Nexus Tray answers again, look how it stands, and try again if need be.",
};

export const token = () => sessionStorage.getItem(KEY);
export const forget = () => sessionStorage.removeItem(KEY);

let entering = null;

/** Exchange the ticket in the address, if there is one; the page to go to, or null. Once: it
 *  is begun before the page is drawn, and waited for by what draws it. */
export const enter = () => (entering ||= exchange());

async function exchange() {
  const given = new URLSearchParams(location.hash.slice(1));
  const ticket = given.get("ticket");
  if (!ticket) return null;
  const to = given.get("to") || "/";
  // Gone from the address bar and the history before anything else happens.
  history.replaceState(null, "", `#${to.startsWith("/") ? to : "/"}`);
  const outcome = await send("POST", "/dashboard-sessions", { ticket });
  sessionStorage.setItem(KEY, outcome.value);
  return to;
}

/** One request; the answer's JSON, or a thrown Refused. */
export async function send(method, path, body, fields = {}, signal = undefined) {
  const answer = await ask(method, path, body, fields, signal);
  return await answer.json();
}

export const get = (path, signal) => send("GET", path, undefined, {}, signal);

let denied = () => {};

/** Have `tell(reason)` called when this page's token turns out to be no longer good. */
export const whenDenied = (tell) => { denied = tell; };

/** One request; the whole Response. */
export async function ask(method, path, body, fields = {}, signal = undefined) {
  const headers = { ...fields };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, method === "GET" ? SILENT : UNSURE);
  }
  if (answer.ok) return answer;
  const refused = await refusal(answer);
  if (refused.status === 401) denied(refused.reason);
  throw refused;
}

async function refusal(answer) {
  try {
    const { reason } = await answer.json();
    if (reason) return new Refused(answer.status, reason);
  } catch (error) {
    console.warn("an answer without a reason", answer.status, error);
  }
  return new Refused(answer.status, {
    code: "page-unreadable",
    what: `Nexus Tray answered ${answer.status} without a reason.`,
    meaning: "", cure: "See its log: nexus-tray logs --source nexus-tray",
  });
}

/** A query string; lists repeat their name, what is empty is left out. */
export function query(values) {
  const made = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") made.append(name, one);
    }
  }
  const text = made.toString();
  return text && `?${text}`;
}

const QUIET_MS = 8000;

/** Follow the journal for ever. Calls `on.event`, `on.open`, `on.lost(error)`, `on.ended(reason)`.
 *  The server writes at least once a second; silence means that the line is dead. */
export async function follow(on, signal) {
  let last = "";
  let wait = 500;
  while (!signal.aborted) {
    try {
      for await (const frame of frames(last, signal)) {
        if (signal.aborted) return undefined;
        if (frame === null) {
          on.open();
          wait = 500;
          continue;
        }
        last = frame.id;
        on.event(JSON.parse(frame.data));
      }
      on.lost(null);
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error.status === 401) return on.ended(error.reason);
      on.lost(error);
    }
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 1.6, 4000);
  }
}

/** Server-sent events over fetch (EventSource can send no header). First null: it is open. */
async function* frames(last, signal) {
  const gone = new AbortController();
  signal.addEventListener("abort", () => gone.abort(), { signal: gone.signal });
  let watch = setTimeout(() => gone.abort(), QUIET_MS);
  try {
    const answer = await ask("GET", "/events", undefined,
      last ? { "Last-Event-ID": last } : {}, gone.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    yield null;
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(watch);
      watch = setTimeout(() => gone.abort(), QUIET_MS);
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const frame = {};
        for (const line of part.split("\n")) {
          const at = line.indexOf(": ");
          if (at > 0) frame[line.slice(0, at)] = line.slice(at + 2);
        }
        if (frame.data) yield frame;
      }
    }
  } finally {
    clearTimeout(watch);
    gone.abort();
  }
}
