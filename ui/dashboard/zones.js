// The domains for which this computer is signed in at Cloudflare: one certificate for each.

import { html, useRef } from "/vendor/preact-htm.js";
import { useNow } from "/live.js";
import { Act, Why, toast } from "/parts.js";
import { forgetZone, logIn } from "/tunnel-calls.js";
import { inert, span } from "/words.js";

export const zoneName = (zone) => (zone.name ? inert(zone.name) : `Domain ${inert(zone.id).slice(0, 8)}…`);

export function Zones({ zones, tunnels, read, began }) {
  const title = useRef(null);
  const now = useNow();
  const forget = (zone) => async () => {
    await forgetZone(zone.id);
    toast(`${zoneName(zone)} is forgotten.`);
    title.current.focus(); // the button that was pressed goes away
    await read();
  };
  const users = (zone) => tunnels.filter((one) => one.zone_id === zone.id).map((one) => `“${one.name}”`).join(", ");
  const about = (zone) => `${users(zone) ? `The tunnels that were made with it go on: ${users(zone)}. ` : ""
  }Nothing can be made, changed or deleted in ${zoneName(zone)} until you sign in for it again. At Cloudflare nothing is changed.`;
  return html`<section class="sheet" aria-labelledby="zones"><div class="row between wrap"><h2 id="zones" ref=${title} tabindex="-1">Your domains at Cloudflare</h2>
      <${Act} act=${async () => began(await logIn(), "Signing in has begun.")} doing="Beginning…">${
        zones.length ? "Sign in for another…" : "Sign in at Cloudflare…"}<//></div>
    ${!zones.length && html`<p class="dim">None yet. A quick tunnel needs none; an address of your own needs a domain that is at Cloudflare.</p>`}
    <ul class="list">${zones.map((zone) => html`<li key=${zone.id}><div class="grow"><b>${zoneName(zone)}</b>
        <div class="dim small">${zone.signed_in_at != null && `Signed in ${span(Math.max(0, now - zone.signed_in_at))} ago · `}
          account <span class="mono">${inert(zone.account_id).slice(0, 8)}…</span></div>
        ${zone.reason && html`<${Why} reason=${zone.reason} />`}</div>
      <${Act} kind="danger" act=${forget(zone)} doing="Forgetting…" name="Forget ${zoneName(zone)}"
        ask=${{ title: `Forget ${zoneName(zone)}?`, text: about(zone), yes: "Forget", danger: true }}>Forget<//></li>`)}</ul></section>`;
}
