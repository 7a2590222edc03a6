// The pieces every page is made of: states, buttons that act, questions before deeds, words
// of success, a QR code. A button that acts shows that it waits, and what went wrong.

import { encode } from "/vendor/uqr.js";
import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { inert } from "/words.js";

/** A state by colour, shape and word. */
export const State = ({ kind, word }) =>
  html`<span class="state ${kind}"><i aria-hidden="true"></i>${word}</span>`;

/** Why something is not as wished: what, what it means, what to do. */
export const Why = ({ reason, what = true }) => html`<div class="why">
  ${what && html`<p><b>${inert(reason.what)}</b></p>`}
  ${reason.meaning && html`<p>${inert(reason.meaning)}</p>`}
  ${reason.cure && html`<p>${inert(reason.cure)}</p>`}
</div>`;

/** An error of this page's own doing, said where it happened. */
export const Failure = ({ error }) => error && html`<div class="failure" role="alert">
  <${Why} reason=${error.reason || { what: String(error.message || error) }} /></div>`;

/** What an action does while it runs: [busy, error, run]. Only one runs at a time. */
export function useAction(action) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  const run = async (...given) => {
    if (busy) return undefined;
    setBusy(true);
    setError(null);
    try {
      return await action(...given);
    } catch (problem) {
      if (!problem.reason) console.error(problem);
      if (alive.current) setError(problem);
      return undefined;
    } finally {
      if (alive.current) setBusy(false);
    }
  };
  return [busy, error, run];
}

/** A button that does `act`; meanwhile it says `doing`. `ask` is asked first, if given.
 *  `pending`: what it started is still under way. `idle`: there is nothing to do yet. */
export function Act({ act, children, doing, ask: question, pending, idle, kind = "", fail, name }) {
  const [busy, error, run] = useAction(act);
  useEffect(() => { if (fail) fail(error); }, [error]);
  const on = async () => {
    if (busy || pending || idle) return;
    if (!question || await confirm(question)) run();
  };
  const waits = busy || pending;
  return html`<button type="button" class="act ${kind}" aria-disabled=${waits || idle ? "true" : null}
      aria-busy=${waits ? "true" : null} aria-label=${name} onClick=${on}>${waits ? doing || children : children}</button>
    ${!fail && html`<${Failure} error=${error} />`}`;
}

/** Copies a text and says so. */
export function Copy({ text, children = "Copy", name }) {
  const [word, setWord] = useState(null);
  useEffect(() => {
    if (!word) return undefined;
    const timer = setTimeout(() => setWord(null), 2000);
    return () => clearTimeout(timer);
  }, [word]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setWord("Copied");
      say("Copied.");
    } catch (error) {
      console.warn("the clipboard is not open to this page", error);
      setWord("Not allowed");
      say("The browser did not allow copying.");
    }
  };
  return html`<button type="button" onClick=${copy} aria-label=${name}>${word || children}</button>`;
}

// -- one dialog, one line of success, one voice for screen readers: the shell draws them ----

const drawn = { dialog: null, toast: null, voice: "" };
const redraw = new Set();
const show = (more) => {
  Object.assign(drawn, more);
  for (const listener of redraw) listener({});
};

/** Ask before a deed: { title, text, yes, danger }. Resolves to true or false. */
export const confirm = (question) => new Promise((answer) => show({
  dialog: {
    ...question,
    close: (value) => {
      show({ dialog: null });
      answer(value === true);
    },
  },
}));

/** Show something over the page: a title and a body. */
export const present = (title, body) =>
  show({ dialog: { title, body, close: () => show({ dialog: null }) } });

/** A line of success; `undo` offers to take it back. */
export function toast(text, undo) {
  const mine = { text, undo };
  show({ toast: mine, voice: undo ? `${text} It can be undone.` : text });
  setTimeout(() => drawn.toast === mine && show({ toast: null }), undo ? 10000 : 4000);
}

/** Words for screen readers only. */
export const say = (text) => show({ voice: text });

export function Overlays() {
  const [, set] = useState({});
  useEffect(() => {
    redraw.add(set);
    return () => redraw.delete(set);
  }, []);
  const { dialog, toast: line, voice } = drawn;
  return html`
    ${dialog && html`<${Dialog} ...${dialog} />`}
    ${line && html`<div class="toast"><span>${line.text}</span>
      ${line.undo && html`<button type="button" onClick=${() => { show({ toast: null }); line.undo(); }}>Undo</button>`}</div>`}
    <div class="unseen" role="status" aria-live="polite">${voice}</div>`;
}

function Dialog({ title, text, body, yes, danger, close }) {
  const box = useRef(null);
  useEffect(() => {
    const from = document.activeElement;
    box.current.showModal();
    return () => from && from.isConnected && from.focus();
  }, []);
  return html`<dialog ref=${box} aria-labelledby="dialog-title" onClose=${() => close(false)}
      onClick=${(event) => event.target === box.current && close(false)}>
    <div class="inside"><h2 id="dialog-title">${title}</h2>
    ${text && html`<p>${text}</p>`}
    ${body}
    <div class="row end">
      <button type="button" autofocus=${!yes} onClick=${() => close(false)}>${yes ? "Cancel" : "Close"}</button>
      ${yes && html`<button type="button" autofocus class=${danger ? "danger" : "primary"}
        onClick=${() => close(true)}>${yes}</button>`}
    </div></div></dialog>`;
}

/** A QR code as one path, dark on white in every theme: cameras want it so. */
export function Qr({ text, label = `QR code of ${text}` }) {
  const { data, size } = encode(text, { ecc: "M", border: 3 });
  const path = data.map((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")).join(""));
  return html`<svg class="qr" viewBox="0 0 ${size} ${size}" role="img" shape-rendering="crispEdges"
    aria-label=${label}><rect width=${size} height=${size} /><path d=${path.join("")} /></svg>`;
}

/** Show an address as a QR code. */
export const presentQr = (address) => present("Open on your phone", html`<div class="center">
  <${Qr} text=${address} /><p class="mono wrap">${address}</p>
  <p class="dim">Scan it with the camera. You sign in with your password there.</p></div>`);

/** Open OpenCode by a one-time link. The tab is opened at once, while the click still counts. */
export async function openOpenCode(path = "/") {
  const tab = window.open("about:blank", "_blank");
  try {
    const { value } = await send("POST", "/tickets", { path });
    if (tab) {
      tab.opener = null;
      tab.location.replace(value);
    } else {
      location.assign(value);
    }
  } catch (error) {
    if (tab) tab.close();
    throw error;
  }
}

/** The path of an OpenCode session in OpenCode's own page. */
export function sessionPath({ directory, id }) {
  const utf8 = String.fromCharCode(...new TextEncoder().encode(directory));
  const key = btoa(utf8).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `/${key}/session/${encodeURIComponent(id)}`;
}
