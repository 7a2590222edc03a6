// The password for remote access: set with the present one, removed without.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { Act, Failure, toast, useAction } from "/parts.js";

const LEAST = 12;

/** A rough hint, as gateway/passwords.py gives it; only that judges when it is set. */
export function strength(text) {
  const length = [...text].length;
  if (!length) return [0, `At least ${LEAST} characters; four or five unrelated words are good.`];
  if (length < LEAST) return [0, `${LEAST - length} more ${LEAST - length === 1 ? "character" : "characters"}.`];
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[\W_]/].filter((kind) => kind.test(text)).length;
  const worth = new Set(text).size + length + 2 * kinds;
  if (new Set(text).size < 5) return [0, "Too few different characters."];
  if (worth < 28) return [1, "Acceptable. A few more words would make it strong."];
  return worth < 44 ? [2, "Good."] : [3, "Strong."];
}

/** `known`: whether one is set, where that is known. `done` is called when it was changed. */
export function Password({ at, known, done = () => {} }) {
  const [text, setText] = useState("");
  const [current, setCurrent] = useState("");
  const [open, setOpen] = useState(false);
  const field = useRef(null);
  const [busy, error, run] = useAction(async () => {
    try {
      await send("PUT", "/password", { password: text, current });
    } finally {
      setCurrent("");
    }
    setText("");
    toast("The password is set. Everybody has to sign in again.");
    done();
  });
  const [score, words] = strength(text);
  useEffect(() => { if (at) field.current.focus(); }, [at]);
  const ready = score > 0 && (!known || current);
  const set = (event) => {
    event.preventDefault();
    if (ready) run();
  };
  return html`<section class="sheet" aria-labelledby="password"><h2 id="password">Password</h2>
    <form class="setting" onSubmit=${set}><div><label for="new-password">New password for remote access</label>
        <div class="dim small" id="password-about">Whoever knows it can run programs on this computer.
          Without one there is no remote access. Setting it signs out every device and voids every token, passkey and pairing.</div></div>
      <div class="control"><input hidden autocomplete="username" value="remote access" readonly />
        ${known && html`<input class="whole" type="password" autocomplete="current-password" aria-label="The present password"
          placeholder="The present password" value=${current} onInput=${(event) => setCurrent(event.target.value)} />`}
        <input id="new-password" ref=${field} class="grow" type=${open ? "text" : "password"} autocomplete="new-password"
          value=${text} aria-describedby="password-about password-hint" onInput=${(event) => setText(event.target.value)} />
        <button type="button" aria-pressed=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>Show</button>
        ${text && html`<div class="meter s${score}" aria-hidden="true"><i></i></div>`}
        <div class="small dim grow" id="password-hint" aria-live="polite">${words}</div>
        <button class="primary" aria-disabled=${ready && !busy ? null : "true"} aria-busy=${busy ? "true" : null}>${busy ? "Setting…" : "Set password"}</button></div>
      <${Failure} error=${error} /></form>
    ${known !== false && html`<div class="setting"><div><span class="label">Remove the password</span>
        <div class="dim small">Ends remote access at once, for every device and token, and turns the second factor off. The way out if the password is lost.</div></div>
      <div class="control"><${Act} kind="danger" doing="Removing…" act=${async () => {
        await send("DELETE", "/password");
        toast("The password is removed. There is no remote access now.");
        done();
      }} ask=${{ title: "Remove the password?", text: "Remote access ends at once, for everybody.", yes: "Remove", danger: true }}>Remove<//></div></div>`}</section>`;
}
