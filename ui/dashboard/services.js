// A service: how it stands, what is measured of it, and the buttons that wish it otherwise.

import { html, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Failure, State, Why } from "/parts.js";
import { STATES, age, bytes, inert, span, tail, title } from "/words.js";

const path = (service) => `/services/${encodeURIComponent(service.name)}`;
export const wish = (service, desired) => send("PUT", `${path(service)}/desired`, { desired });
export const restart = (service) => send("POST", `${path(service)}/restarts`);

/** A line of a list of facts; what is not known is not shown as anything else. */
const Fact = ({ name, children }) => html`<dt>${name}</dt><dd>${children ?? "—"}</dd>`;

function facts(service, activity, now) {
  const { facts: known } = service;
  const since = [service.state === "running" ? "Up for" : "So for", age(now - service.since_at)];
  const memory = ["Memory", known.memory_bytes == null ? null : bytes(known.memory_bytes)];
  const version = ["Version", known.version && inert(known.version)];
  const restarts = ["Restarts", service.restarts];
  if (service.kind === "gateway") return [since, ["Local door", known.address && inert(known.address)], restarts];
  if (service.kind === "tunnel") {
    return [
      since,
      ["Connections", known.connections],
      ["Transport", known.transport && known.transport.toUpperCase()],
      ["Cloudflare’s places", known.locations?.length ? known.locations.map(inert).join(", ") : null],
      version, memory, restarts,
    ];
  }
  const doing = activity && ["working", "waiting", "interrupted", "idle"]
    .map((state) => [activity.sessions.filter((one) => one.state === state).length, state])
    .filter(([number]) => number).map(([number, state]) => `${number} ${state}`).join(", ");
  const folder = known.directory && html`<span class="mono" title=${inert(known.directory)}>${inert(tail(known.directory, 30))}</span>`;
  return [since, ["Folder", folder], ["Sessions", activity ? doing || "none" : null], version, memory, restarts];
}

/** `said`: the reason that the page has told already, which is only named here. */
export function ServiceCard({ service, activity, said }) {
  const now = useNow();
  const [error, setError] = useState(null);
  const [kind, word] = STATES[service.state];
  const held = service.state === "stopped" && service.desired === "running";
  const id = `service-${service.name}`;
  return html`<section class="sheet card" aria-labelledby=${id}>
    <div class="row between"><h2 id=${id}>${title(service)}</h2><${State} kind=${kind} word=${held ? "Held back" : word} /></div>
    ${service.reason && html`<div class="note ${held ? "busy" : "down"}">
      <${Why} reason=${said?.code === service.reason.code ? { what: said.what } : service.reason} /></div>`}
    ${service.notice && html`<div class="note busy"><${Why} reason=${service.notice} /></div>`}
    ${service.next_try_at != null && html`<p class="dim">Next try in ${span(Math.max(0, service.next_try_at - now))}.</p>`}
    <dl>${facts(service, activity, now).map(([name, value]) => html`<${Fact} name=${name}>${value}<//>`)}</dl>
    <${Failure} error=${error} />
    <${Buttons} service=${service} activity=${activity} fail=${setError} />
  </section>`;
}

/** What would be cut off, asked before it is. */
function loss(service, activity, deed) {
  if (service.kind === "tunnel" && (service.facts.address || service.state === "running")) {
    const quick = (service.facts.address || "").endsWith(".trycloudflare.com");
    return {
      title: `${deed} the tunnel?`, yes: deed, danger: true,
      text: quick ? "Its address goes with it: the next start has a new one, and everybody signs in or pairs again there."
        : "Requests that run through it end. Its address stays the same.",
    };
  }
  const busy = activity?.sessions.filter((one) => one.state !== "idle" && one.state !== "unknown") || [];
  if (service.kind === "opencode" && busy.length) {
    const names = busy.slice(0, 3).map((one) => `“${inert(one.title)}”`).join(", ");
    return {
      title: `${deed} OpenCode while it works?`, yes: deed, danger: true,
      text: `This would be cut off: ${names}${busy.length > 3 ? ` and ${busy.length - 3} more` : ""}.`,
    };
  }
  return null;
}

export function Buttons({ service, activity, fail }) {
  const wanted = service.desired === "running";
  const name = title(service);
  const starts = ["starting", "backoff"].includes(service.state);
  return html`<div class="row wrap buttons">
    ${!wanted && html`<${Act} act=${() => wish(service, "running")} doing="Starting…" kind="primary" fail=${fail}
      name="Start ${name}">Start<//>`}
    ${wanted && html`<${Act} act=${() => restart(service)} doing="Restarting…" fail=${fail} pending=${service.state === "stopping"}
      ask=${loss(service, activity, "Restart")} name="${starts ? "Try now:" : "Restart"} ${name}">${starts ? "Try now" : "Restart"}<//>`}
    ${wanted && service.kind !== "gateway" && html`<${Act} act=${() => wish(service, "stopped")} doing="Stopping…" fail=${fail}
      ask=${loss(service, activity, "Stop")} name="Stop ${name}">Stop<//>`}
    <a class="btn" href="#/logs?source=${encodeURIComponent(service.name)}" aria-label="Logs of ${name}">Logs</a></div>`;
}
