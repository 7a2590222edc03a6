// The password once more, before something makes a new way in or changes sign-in.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { Failure, useAction } from "/parts.js";

/** A form with the present password; `act(current)` is done with it, and the field is emptied.
 *  `yes` and `doing` are the button's words, `cancel` takes it all back. `idle`: not complete. */
export function StepUp({ id, yes, doing, act, cancel, idle, danger, children, focus = true }) {
  const [current, setCurrent] = useState("");
  const field = useRef(null);
  const [busy, error, run] = useAction(async () => {
    try {
      await act(current);
    } finally {
      setCurrent("");
    }
  });
  useEffect(() => { if (focus) field.current?.form.querySelector("input:not([hidden]), select").focus(); }, []);
  const submit = (event) => {
    event.preventDefault();
    if (current && !idle && !busy) run();
  };
  return html`<form class="stack step-up" onSubmit=${submit}>${children}
    <div><label for=${id}>Password for remote access, once more</label>
      <input hidden autocomplete="username" value="remote access" readonly />
      <input id=${id} ref=${field} type="password" autocomplete="current-password" value=${current}
        onInput=${(event) => setCurrent(event.target.value)} /></div>
    <div class="row wrap"><button class=${danger ? "danger" : "primary"} aria-disabled=${current && !idle && !busy ? null : "true"}
        aria-busy=${busy ? "true" : null}>${busy ? doing : yes}</button>
      ${cancel && html`<button type="button" onClick=${cancel}>Cancel</button>`}</div>
    <${Failure} error=${error} /></form>`;
}
