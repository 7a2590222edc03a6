// What is measured of one hop of the path: figures that are true now, "—" for what nobody measured.

import { get } from "/api.js";
import { useLive, useNow } from "/live.js";
import { millis, total } from "/traffic.js";
import { errors, times } from "/tunnel-metrics.js";
import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { age, bytes, capital, count, inert, title } from "/words.js";

const EVERY = 5; // seconds between two looks at the last minute

/** What an address of the API answers, again and again; null: not known. */
function useAnswer(path, every) {
  const [answer, set] = useState(null);
  useEffect(() => {
    const gone = new AbortController();
    let timer = 0;
    const look = async () => {
      try {
        set(await get(path, gone.signal));
      } catch (error) {
        if (gone.signal.aborted) return;
        console.warn(`${path} could not be read`, error);
        set(null);
      }
      timer = setTimeout(look, every * 1000);
    };
    look();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [path]);
  return answer;
}

const Figures = ({ rows }) => html`<dl>${rows.map(([what, value]) =>
  html`<dt>${what}</dt><dd>${value ?? "—"}</dd>`)}</dl>`;

const memory = ({ facts }) => ["Memory", facts.memory_bytes == null ? null : bytes(facts.memory_bytes)];
const version = ({ facts }) => ["Version", facts.version && inert(facts.version)];
const restarts = (service) => ["Restarts", count(service.restarts)];
const runs = (service) => ["running", "degraded"].includes(service.state);
const uptime = (service, now) => ["Up for", runs(service) ? age(now - service.since_at) : null];

function Device({ hop }) {
  const access = useAnswer("/access", EVERY * 2);
  const last = /^last request (.+)$/.exec(hop.text);
  return html`<${Figures} rows=${[
    ["Last request", last && inert(last[1])],
    ["Signed in", access && count(access.devices.length)],
  ]} />`;
}

function Gateway({ service, now }) {
  const found = useAnswer("/traffic?seconds=60&points=60", EVERY);
  const sum = found?.points.length ? total(found.points) : null;
  const newest = found?.points.length ? found.points[found.points.length - 1] : null;
  return html`<${Figures} rows=${[
    ["Requests, last minute", sum && count(sum.requests)],
    ["Failed", sum && count(sum.failures)],
    ["Time to answer, median", sum?.latency_ms != null ? millis(sum.latency_ms) : null],
    ["Open streams", newest && count(newest.streams)],
    ...measured(service), uptime(service, now), restarts(service),
  ]} />`;
}

/** What the gateway counted at this hop; nothing where it has not begun to. */
const measured = ({ kind, facts: { metrics } }) => (metrics ? [
  ...(kind === "opencode" ? [["Requests since the start", count(metrics.requests)], ["Under way", count(metrics.concurrent)]] : []),
  ["Errors since the start", errors(metrics)], ...times(metrics),
] : []);

const edge = ({ facts }) => [
  ["Connections", facts.connections],
  ["Cloudflare’s places", facts.locations?.length ? facts.locations.map(inert).join(", ") : null],
  ["Transport", facts.transport && inert(facts.transport.toUpperCase())],
];

const tunnel = (service, now) => [memory(service), version(service), uptime(service, now), restarts(service)];

function opencode(service, now, activity) {
  const { latency_ms: ms } = service.facts;
  return [
    ["Sessions", activity && count(activity.sessions.length)],
    ["Last answer after", ms == null ? null : millis(ms)],
    ...measured(service), memory(service), version(service), uptime(service, now), restarts(service),
  ];
}

const KINDS = { edge: "tunnel", cloudflared: "tunnel", gateway: "gateway", opencode: "opencode" };

export function HopFigures({ hop: { hop } }) {
  const { snapshot } = useLive();
  const now = useNow();
  const station = snapshot.path.find((one) => one.hop === hop);
  if (hop === "device") return html`<${Device} hop=${station} />`;
  const services = snapshot.services.filter((one) => one.kind === KINDS[hop]);
  return services.map((service) => {
    if (hop === "gateway") return html`<${Gateway} key=${service.name} service=${service} now=${now} />`;
    const rows = hop === "opencode" ? opencode(service, now, snapshot.activity)
      : (hop === "edge" ? edge(service) : tunnel(service, now));
    return html`<div key=${service.name}>${services.length > 1 && html`<h3>${capital(title(service))}</h3>`}
      <${Figures} rows=${rows} /></div>`;
  });
}
