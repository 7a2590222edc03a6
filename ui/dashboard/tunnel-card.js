// One tunnel: how it stands and why, its address, where it leads, what is measured, and what
// can be done with it.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, State, Why, confirm, presentQr, toast } from "/parts.js";
import { Routes } from "/routes.js";
import { Buttons } from "/services.js";
import { ByHand } from "/jobs.js";
import { Details, NewToken, Origin } from "/tunnel-details.js";
import { TunnelMetrics } from "/tunnel-metrics.js";
import { deleteTunnel } from "/tunnel-calls.js";
import { STATES, age, bytes, goal, hasEnded, inert, jobTitle, span, title } from "/words.js";

const MANY = 3; // changes of its address within a day, after which one of one's own is proposed

export function TunnelCard({ service, snapshot, known, read, began, suggest }) {
  const now = useNow();
  const [error, setError] = useState(null);
  const report = known?.tunnels.find((one) => one.name === service.name);
  const tunnel = known?.settings.find((one) => one.name === service.name);
  const { name, reason } = service;
  const undone = report?.by_hand.length || 0;
  const before = useRef(0);
  useEffect(() => {
    if (before.current && !undone) toast(`Tunnel “${name}”: nothing is left to do by hand.`);
    before.current = undone;
  }, [undone]);
  const [kind, word] = STATES[service.state];
  const held = service.state === "stopped" && service.desired === "running";
  const id = `service-${name}`;
  const jobs = snapshot.jobs.filter((job) => job.subject === name && !hasEnded(job));
  const taken = (known?.settings || []).flatMap((one) => one.routes.map((route) => [route.hostname, one.name]))
    .filter(([host]) => host);
  return html`<section class="sheet card" aria-labelledby=${id}>
    <div class="row between wrap"><div class="row wrap"><h2 id=${id}>${title(service)}</h2>${tunnel && html`<span class="pill">${tunnel.kind}</span>`}
        ${jobs.map((job) => html`<a class="small" href="#/tunnels" onClick=${jump(job)}>${jobTitle(job)}</a>`)}</div>
      <${State} kind=${kind} word=${held ? "Held back" : word} /></div>
    ${reason && html`<div class="note ${held ? "busy" : "down"}"><${Why} reason=${reason} /></div>`}
    ${report?.reason && ![reason?.code, "address-changes-often"].includes(report.reason.code) && html`<div class="note busy"><${Why} reason=${report.reason} /></div>`}
    ${service.next_try_at != null && html`<p class="dim">Next try in ${span(Math.max(0, service.next_try_at - now))}.</p>`}
    <${Address} service=${service} tunnel=${tunnel} report=${report} suggest=${suggest} />
    <dl class="facts">${figures(service, tunnel, now).map(([label, value]) => html`<div><dt>${label}</dt><dd>${value ?? "—"}</dd></div>`)}</dl>
    <${TunnelMetrics} service=${service} report=${report} />
    ${tunnel?.kind === "token" && html`<${NewToken} tunnel=${tunnel} reason=${reason} read=${read} />`}
    ${undone > 0 && html`<div class="note busy"><div class="grow"><${ByHand} steps=${report.by_hand} />
      ${report.origin && tunnel?.kind === "token" && html`<${Origin} origin=${report.origin} name=${name} />`}</div></div>`}
    ${tunnel && html`<${Routes} tunnel=${tunnel} service=${service} report=${report} zones=${known.zones} taken=${taken} read=${read} began=${began} />
      <${Details} tunnel=${tunnel} service=${service} report=${report} read=${read} />`}
    <${Failure} error=${error} />
    <div class="row between wrap"><${Buttons} service=${service} activity=${snapshot.activity} fail=${setError} />
      ${tunnel && html`<${Delete} tunnel=${tunnel} zones=${known.zones} began=${began} fail=${setError} />`}</div></section>`;
}

/** To the job's card, without another entry in the history. */
const jump = (job) => (event) => {
  event.preventDefault();
  const head = document.getElementById(`job-${job.id}`);
  head?.scrollIntoView({ block: "center" });
  head?.focus({ preventScroll: true });
};

/** Where it is found from outside: its own address, or the first of its host names. */
export function addressOf({ facts }, tunnel) {
  const host = tunnel?.routes.find((route) => route.hostname)?.hostname;
  return facts.address || (host ? `https://${host}` : "");
}

const NO_ADDRESS = { quick: "A new address at each start.", named: "No host name yet.", token: "No host name yet. They are set in Cloudflare’s dashboard." };

function Address({ service, tunnel, report, suggest }) {
  const address = addressOf(service, tunnel);
  const { changes = 0 } = report || {};
  return html`<div class="row between wrap address">${address
      ? html`<a class="mono link" href=${address} target="_blank" rel="noreferrer">${address}</a><div class="row">
          <${Copy} text=${address} name="Copy the address of ${service.name}" />
          <button type="button" aria-label="QR code of ${service.name}" onClick=${() => presentQr(address)}>QR code</button></div>`
      : html`<span class="dim">${NO_ADDRESS[tunnel?.kind || "quick"]}</span>`}</div>
    ${address && tunnel?.kind === "quick" && !changes && html`<p class="dim small">A new address at each start; browsers then have to sign in, and phones to pair, again.</p>`}
    ${changes > 0 && html`<div class="note busy"><div class="grow"><p><b>${changes === 1 ? "The address has changed within the last day."
        : `The address has changed ${changes} times within the last day.`}</b></p>
      <p>At the new address, each browser has to sign in, and each phone to pair, again.${changes >= MANY ? " A tunnel on a domain of your own keeps its address." : ""}</p></div>
      ${changes >= MANY && html`<button type="button" onClick=${suggest}>Make one on your domain</button>`}</div>`}`;
}

function proof({ facts, state }, now) {
  if (facts.proved_at == null) return state === "running" ? html`<${State} kind="unknown" word="Not known yet" />` : null;
  const took = facts.round_trip_ms == null ? "" : `, ${Math.round(facts.round_trip_ms)} ms`;
  return html`<${State} kind="up" word="Proved ${span(Math.max(0, now - facts.proved_at))} ago${took}" />`;
}

function figures(service, tunnel, now) {
  const { facts } = service;
  const places = facts.locations?.length ? ` · ${facts.locations.map(inert).join(", ")}` : "";
  const all = [
    ["Goes to", tunnel && tunnel.kind !== "quick" && leads(tunnel.routes)], // a quick one says it below
    ["End to end", proof(service, now)],
    ["Connections", facts.connections == null ? null : `${facts.connections}${places}`],
    ["Transport", facts.transport && (facts.transport === "http2" ? "HTTP/2" : facts.transport.toUpperCase())],
    [service.state === "running" ? "Up for" : "So for", age(now - service.since_at)],
    ["Restarts", service.restarts],
    ["Memory", facts.memory_bytes == null ? null : bytes(facts.memory_bytes)],
    ["cloudflared", facts.version && inert(facts.version)],
  ];
  return all.filter(([label, value]) => (label === "Goes to" ? value : value != null || ["running", "degraded"].includes(service.state)));
}

function leads(routes) {
  if (!routes.length) return "nowhere yet";
  const goals = [...new Set(routes.map((route) => goal(route.service)))];
  return `${goals[0]}${goals.length > 1 ? ` and ${goals.length - 1} more` : ""}, behind sign-in`;
}

/** What goes with it, here and at Cloudflare, asked before. */
function Delete({ tunnel, zones, began, fail }) {
  const { name, kind, routes } = tunnel;
  const there = kind === "named" && zones.some((zone) => zone.id === tunnel.zone_id);
  const hosts = routes.map((route) => route.hostname).filter(Boolean);
  const act = async () => {
    const choice = { only: kind === "named" && !there };
    const yes = await confirm({
      title: `Delete tunnel “${name}”?`, yes: "Delete", danger: true, body: html`<p>Removed on this computer:</p><ul>
          <li>the tunnel “${name}”, its settings and its routes; whatever runs through it ends</li>
          ${kind === "named" && html`<li>the file with its credentials</li>`}${kind === "token" && html`<li>its token, from the keyring</li>`}</ul>
        ${kind === "named" && !there && html`<p>At Cloudflare it stays, with its DNS records: you are not signed in for its domain. Sign in for it first, or delete it in Cloudflare’s dashboard.</p>`}
        ${there && html`<p>Removed at Cloudflare:</p><ul><li>the tunnel${tunnel.tunnel_id && html` <span class="mono">${tunnel.tunnel_id}</span>`}</li>
            ${hosts.length > 0 && html`<li>the DNS records of ${hosts.join(", ")}, where the certificate allows it; else you are told</li>`}</ul>
          <label class="option"><input type="checkbox" onChange=${(event) => { choice.only = event.target.checked; }} />
            <span>Only here<span class="dim small">Leave the tunnel and its DNS records at Cloudflare.</span></span></label>`}
        ${kind === "token" && html`<p>At Cloudflare nothing is changed: it was made there, and is deleted there.</p>`}`,
    });
    if (yes) await began(await deleteTunnel(name, choice.only), `Tunnel “${name}” is deleted.`);
  };
  return html`<${Act} kind="danger" act=${act} doing="Deleting…" fail=${fail} name="Delete tunnel “${name}”">Delete…<//>`;
}
