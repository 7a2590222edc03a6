// What passed through the gateway: two small charts, the same in words, and as a table.
//
// Drawn by ourselves, in SVG: bars over time need no library, and so the themes, large text and
// forced colours come from the style sheet like everything else. It asks only while somebody
// can see it.

import { get, query } from "/api.js";
import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { clock, count, day, span, bytes } from "/words.js";

// `points` is chosen such that a step has a round length; `every`: seconds between two looks.
const RANGES = [
  { name: "15 min", seconds: 900, points: 90, every: 3, words: "the last 15 minutes" },
  { name: "1 h", seconds: 3600, points: 120, every: 10, words: "the last hour" },
  { name: "24 h", seconds: 86400, points: 96, every: 30, words: "the last 24 hours" },
  { name: "7 d", seconds: 604800, points: 84, every: 60, words: "the last 7 days" },
];
const ROWS = 12;

export const size = (number) => (number < 1000 ? `${number} B` : bytes(number));
export const millis = (ms) => (ms == null ? "—" : ms < 10 ? `${ms.toFixed(1)} ms`
  : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Several steps as one, as nexus_tray/store/history_steps.py does it. */
export function total(points) {
  const sum = { requests: 0, failures: 0, bytes_in: 0, bytes_out: 0, streams: 0 };
  for (const one of points) {
    for (const name of Object.keys(sum)) {
      sum[name] = name === "streams" ? Math.max(sum.streams, one.streams) : sum[name] + one[name];
    }
  }
  const times = points.filter((one) => one.latency_ms != null).sort((a, b) => a.latency_ms - b.latency_ms);
  let left = times.reduce((so, one) => so + one.requests, 0) / 2;
  const median = times.find((one) => (left -= one.requests) <= 0);
  return { ...sum, latency_ms: median ? median.latency_ms : null };
}

/** Whether the element is on the screen of somebody who looks at this tab. */
function useSeen(ref) {
  const [seen, set] = useState(false);
  useEffect(() => {
    let near = false;
    const tell = () => set(near && !document.hidden);
    const watch = new IntersectionObserver((entries) => {
      near = entries[entries.length - 1].isIntersecting;
      tell();
    }, { rootMargin: "200px" });
    watch.observe(ref.current);
    document.addEventListener("visibilitychange", tell);
    return () => {
      watch.disconnect();
      document.removeEventListener("visibilitychange", tell);
    };
  }, []);
  return seen;
}

/** What passed in a range, asked anew while it is seen: { range, step, points } and an error. */
function usePassed(range, tunnel, seen) {
  const [found, set] = useState(null);
  const [error, fail] = useState(null);
  useEffect(() => {
    if (!seen) return undefined;
    const gone = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        const { seconds, points } = range;
        set({ range, ...await get(`/traffic${query({ seconds, points, tunnel })}`, gone.signal) });
        fail(null);
      } catch (problem) {
        if (!gone.signal.aborted) fail(problem);
      }
      if (!gone.signal.aborted) timer = setTimeout(look, range.every * 1000);
    };
    look();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [range, tunnel, seen]);
  return [found, error];
}

/** Every step of the range, oldest first; null where nothing was measured. */
function slots({ range, step, points }) {
  const last = points.length ? points[points.length - 1].at + step : 0;
  const end = Math.max((Math.floor(Date.now() / 1000 / step) + 1) * step, last);
  const known = new Map(points.map((one) => [one.at, one]));
  const number = Math.ceil(range.seconds / step);
  const begin = end - number * step;
  return { begin, step, number, all: Array.from({ length: number }, (_, n) => known.get(begin + n * step) || null) };
}

/** The round number above: a digit and noughts. */
function ceiling(most) {
  const ten = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((times) => times * ten).find((round) => round >= most);
}

/** `tunnel`: only what passed that one. */
export function Traffic({ tunnel = "" }) {
  const box = useRef(null);
  const [range, choose] = useState(RANGES[1]);
  const [at, point] = useState(null);
  const [found, error] = usePassed(range, tunnel, useSeen(box));
  return html`<div ref=${box} class="traffic-in">
    <div class="row between wrap">${tunnel ? html`<h3>${tunnel}</h3>` : html`<h2>Traffic</h2>`}<div class="row ranges" role="group" aria-label="Time shown">${RANGES.map((one) => html`<button type="button"
      aria-pressed=${one === range ? "true" : "false"} onClick=${() => { point(null); choose(one); }}>${one.name}</button>`)}</div></div>
    ${found ? html`<${Passed} found=${found} at=${at} point=${point} />`
      : html`<p class="traffic-none dim">${error ? "The traffic could not be read." : ""}</p>`}
    ${error && found && html`<p class="dim">Not up to date: ${error.message}</p>`}
  </div>`;
}

function Passed({ found, at, point }) {
  const { words } = found.range;
  const sum = total(found.points);
  if (!found.points.length) return html`<p class="traffic-none dim">Nothing was measured in ${words}.</p>`;
  const time = slots(found);
  const one = at == null || at >= time.number ? null : time.all[at];
  const told = at == null ? sum : one;
  const when = at == null ? "" : `${moment(time.begin + at * time.step, found.range)}: `;
  const per = `per ${span(found.step)}`;
  const none = `No requests in ${words}.`;
  const failed = sum.failures ? `, ${count(sum.failures)} failed` : "";
  return html`<div class="plots">
      <${Plot} time=${time} range=${found.range} title="Requests" per=${per} at=${at} point=${point} form=${count} least=${2}
        upper=${(p) => p.requests} lower=${(p) => p.failures} kind="failed"
        label=${sum.requests ? `Requests in ${words}: ${count(sum.requests)}${failed}.` : none}>
        ${when}${told === sum && !sum.requests ? html`<span class="dim">${none}</span>` : told ? html`<b>${count(told.requests)}</b>${told.failures > 0 && html` · <b class="grave">${count(told.failures)} failed</b>`}${told.latency_ms != null
          && html` · <b>${millis(told.latency_ms)}</b> to answer`}` : "not measured"}<//>
      <${Plot} time=${time} range=${found.range} title="Data" per=${per} at=${at} point=${point} form=${size} least=${1000}
        upper=${(p) => p.bytes_out + p.bytes_in} lower=${(p) => p.bytes_in} kind="in"
        label="Data in ${words}: ${size(sum.bytes_out)} out, ${size(sum.bytes_in)} in.">
        ${when}${told ? html`<i class="swatch" aria-hidden="true"></i><b>${size(told.bytes_out)}</b> out · <i class="swatch in" aria-hidden="true"></i><b>${size(told.bytes_in)}</b> in${told.streams > 0
          && html` · <b>${count(told.streams)}</b> ${told.streams === 1 ? "stream" : "streams"}`}` : "not measured"}<//>
    </div>
    <div class="row between wrap dim small"><span>To answer: median time to the first byte.</span>
      ${time.all.includes(null) && html`<span><i class="gap-mark" aria-hidden="true"></i>Not measured</span>`}</div>
    <details><summary>As a table</summary><${Table} time=${time} range=${found.range} sum=${sum} /></details>`;
}

/** A moment as its range needs it: the day only where there are several. */
const moment = (at, range) => (range.seconds > 86400 ? `${day(at)} ` : "") + clock(at, false).slice(0, range.seconds > 900 ? 5 : 8);

/** Bars over time: `upper` is a step's whole, `lower` the part of it in another colour. */
function Plot({ time, range, title, per, at, point, form, least, upper, lower, kind, label, children }) {
  const { begin, step, number, all } = time;
  const most = ceiling(Math.max(least, ...all.map((one) => (one ? upper(one) : 0))));
  const bars = (value) => all.map((one, n) => {
    const high = one && value(one) ? Math.max(3, 100 * value(one) / most) : 0;
    return high ? `M${n + 0.1} 100v${-high.toFixed(2)}h.8V100z` : "";
  }).join("");
  const gaps = all.map((one, n) => (one ? "" : `M${n} 0h1V100h-1z`)).join("");
  const over = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    point(Math.min(number - 1, Math.max(0, Math.floor(number * (event.clientX - left) / width))));
  };
  return html`<figure class="plot"><figcaption><h3>${title} <span class="dim">${per}</span></h3><p>${children}</p></figcaption>
    <div class="frame-y dim small" aria-hidden="true"><span>${form(most)}</span><span>0</span></div>
    <svg viewBox="0 0 ${number} 100" preserveAspectRatio="none" role="img" aria-label=${label}
        onPointerMove=${over} onPointerDown=${over} onPointerLeave=${() => point(null)}>
      <path class="gap" d=${gaps} /><path class="grid" d="M0 0H${number}M0 50H${number}M0 100H${number}" />
      ${at != null && html`<path class="here" d="M${at} 0h1V100h-1z" />`}
      <path class="bar" d=${bars(upper)} /><path class="bar ${kind}" d=${bars(lower)} /></svg>
    <div class="frame-x dim small" aria-hidden="true"><span>${axis(begin, range)}</span>
      <span>${axis(begin + number * step / 2, range)}</span><span>now</span></div></figure>`;
}

const axis = (at, range) => (range.seconds > 86400 ? day(at) : clock(at, false).slice(0, 5));

/** Sums of a few steps each, so that a voice can read them in a minute. */
function Table({ time, range, sum }) {
  const each = Math.ceil(time.number / ROWS);
  const rows = Array.from({ length: Math.ceil(time.number / each) }, (_, n) => {
    const points = time.all.slice(n * each, (n + 1) * each).filter(Boolean);
    return { from: time.begin + n * each * time.step, points, ...total(points) };
  });
  const cells = (row) => html`<td>${count(row.requests)}</td><td>${count(row.failures)}</td><td>${millis(row.latency_ms)}</td>
    <td>${size(row.bytes_out)}</td><td>${size(row.bytes_in)}</td><td>${count(row.streams)}</td>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Traffic as a table"><table>
    <thead><tr><th scope="col">From</th><th scope="col">Requests</th><th scope="col">Failed</th><th scope="col">To answer</th>
      <th scope="col">Out</th><th scope="col">In</th><th scope="col">Most streams</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><th scope="row">${moment(row.from, range)}</th>
      ${row.points.length ? cells(row) : html`<td colspan="6" class="dim">not measured</td>`}</tr>`)}</tbody>
    <tfoot><tr><th scope="row">Together</th>${cells(sum)}</tr></tfoot></table></div>`;
}
