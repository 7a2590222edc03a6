// The tunnels: address, state, and what is measured of each.

import { html } from "/vendor/preact-htm.js";
import { ServiceCard } from "/services.js";

export function Tunnels({ live }) {
  const { services, activity } = live.snapshot;
  const tunnels = services.filter((service) => service.kind === "tunnel");
  return html`<div class="stack"><header><h1>Tunnels</h1>
      <p class="dim">A quick tunnel needs no account. Cloudflare gives it a new address at each start.
        Whoever opens the address has to sign in at the gateway.</p></header>
    ${!tunnels.length && html`<div class="sheet"><p>No tunnel is set up, so nothing is reachable from outside.</p></div>`}
    ${tunnels.map((one) => html`<${ServiceCard} key=${one.name} service=${one} activity=${activity} full=${true} />`)}</div>`;
}
