// What is measured of one tunnel: figures that are true now, "—" for what nobody measured, and
// what passed it over time once somebody opens that.

import { Traffic, millis, size } from "/traffic.js";
import { html, useState } from "/vendor/preact-htm.js";
import { count } from "/words.js";

/** A number and its unit, which may not be parted. */
const rate = (each) => (each < 0.05 ? "" : ` · ${each < 10 ? each.toFixed(1) : count(Math.round(each))}/s`);
const flow = (all, each) => `${size(all)}${each < 1 ? "" : ` (${size(Math.round(each))}/s)`}`;

/** Errors, each in one class: `failed` counts those that nobody answered too. */
export function errors({ refused, failed, unreachable }) {
  const classes = [[refused, "refused"], [failed - unreachable, "failed"], [unreachable, "unreachable"]];
  const some = classes.filter(([number]) => number > 0);
  return some.length ? some.map(([number, word]) => `${count(number)} ${word}`).join(" · ") : "none";
}

/** Half, most and nearly all answers of the last minute, by their first byte. */
export function times(metrics) {
  if (metrics && metrics.p50_ms == null) return [["Time to answer", "no request in the last minute"]];
  return [["Half answered within", "p50_ms"], ["95 % within", "p95_ms"], ["99 % within", "p99_ms"]]
    .map(([what, name]) => [what, metrics && millis(metrics[name])]);
}

/** What cloudflared itself counts, which begins anew with each start of it. */
function own(counters) {
  if (counters?.requests == null) return null;
  const bad = counters.errors ? ` · ${count(counters.errors)} not passed on` : "";
  return `${count(counters.requests)} ${counters.requests === 1 ? "request" : "requests"}${bad}`;
}

export function TunnelMetrics({ service, report }) {
  const [open, set] = useState(false);
  const { metrics } = service.facts;
  const runs = service.state !== "stopped" && service.state !== "failed";
  const rows = [
    ["Requests", metrics && `${count(metrics.requests)}${rate(metrics.requests_per_second)}`],
    ["Under way", metrics && count(metrics.concurrent)],
    ["Errors", metrics && errors(metrics)],
    ...times(metrics),
    ["Data out", metrics && flow(metrics.bytes_out, metrics.bytes_out_per_second)],
    ["Data in", metrics && flow(metrics.bytes_in, metrics.bytes_in_per_second)],
    ["Counted by cloudflared", own(report?.counters)],
  ];
  return html`<div class="tunnel-metrics" role="group" aria-label="Measured of ${service.name}">
    ${runs && html`<dl class="facts">${rows.map(([what, value]) => html`<div><dt>${what}</dt><dd>${value ?? "—"}</dd></div>`)}</dl>`}
    <details class="inner" onToggle=${(event) => set(event.currentTarget.open)}><summary>Traffic over time</summary>
      ${open && html`<div class="traffic inner"><${Traffic} tunnel=${service.name} /></div>`}</details></div>`;
}
