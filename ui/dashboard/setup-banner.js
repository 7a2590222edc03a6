// What leads back to the first start while it is not finished.

import { html } from "/vendor/preact-htm.js";
import { get } from "/api.js";
import { useFetched } from "/fetched.js";
import { plan } from "/welcome-plan.js";

export function SetupBanner({ boot }) {
  const [setup] = useFetched((signal) => get("/setup", signal), [boot]);
  const left = setup && !setup.finished ? plan(setup).left.length : 0;
  return left > 0 && html`<p class="note busy"><span>${left === 1 ? "One step is left" : `${left} steps are left`} until your phone can reach OpenCode.</span>
    <a class="btn" href="#/welcome">Finish setting up</a></p>`;
}
