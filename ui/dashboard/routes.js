// The host names of one tunnel and where each leads: listed with the state of its DNS, added,
// changed, put in order, removed. The gateway routes, so nothing of this restarts the tunnel.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { Act, Failure, State, Why, say, toast } from "/parts.js";
import { RouteForm } from "/route-form.js";
import { changeRoutes } from "/tunnel-calls.js";
import { goal, inert } from "/words.js";

const DNS = {
  ready: ["up", "Ready"], missing: ["down", "Missing"], conflict: ["down", "Leads elsewhere"], unknown: ["unknown", "Not known"],
};
const RESTARTS_NOTHING = "The tunnel is not restarted, and what runs through it goes on.";

/** `swap([a, b, c], 2, 1)`: the entries at two places, exchanged. */
const swap = (list, a, b) => list.map((one, at) => (at === a ? list[b] : at === b ? list[a] : one));

export function Routes({ tunnel, service, report, zones, taken, read, began }) {
  const [open, setOpen] = useState(null); // the host name that is being changed; "+": a new one
  const [hint, setHint] = useState(""); // what a new one begins with
  const title = useRef(null);
  const { name, kind, routes } = tunnel;
  const quick = kind === "quick";
  const shown = quick && !routes.length ? [{ hostname: "", service: "" }] : routes;
  const sent = (service.facts.hostnames || []).filter((host) => !routes.some((one) => one.hostname === host));
  const close = () => {
    setOpen(null);
    title.current.focus();
  };
  const change = async (words, how) => {
    const outcome = await changeRoutes(name, how);
    setOpen(null);
    if (!outcome.value) title.current.focus();
    await began(outcome, words);
  };
  const save = (before) => (route) => change(`Saved. ${RESTARTS_NOTHING}`, (list) => {
    if (quick) return route.service ? [route] : [];
    return before === null ? [...list, route] : list.map((one) => (one.hostname === before ? route : one));
  });
  const remove = (host) => () => change(`${host} leads nowhere now.`, (list) => list.filter((one) => one.hostname !== host));
  const form = (route, before) => html`<${RouteForm} key=${before ?? "+"} tunnel=${tunnel} origin=${report?.origin} route=${route}
    before=${before} zones=${zones} taken=${taken} save=${save(before)} close=${close} />`;
  const add = (host) => () => {
    setHint(host);
    setOpen("+");
  };
  const id = `routes-${name}`;
  return html`<div role="group" aria-labelledby=${id}><div class="row between wrap"><h3 id=${id} ref=${title} tabindex="-1">${
      quick ? "Where it leads" : "Host names"}</h3>
      ${!quick && open !== "+" && html`<button type="button" onClick=${add("")} aria-label="Add a host name to ${name}">Add a host name</button>`}</div>
    ${!shown.length && html`<p class="dim">None yet, so it leads nowhere. Whatever is asked for is refused.</p>`}
    <ul class="list routes">${shown.map((one, at) => html`<li key=${one.hostname}>${open === one.hostname ? form(one, one.hostname)
      : html`<${Row} route=${one} at=${at} all=${shown} quick=${quick} named=${kind === "named"} name=${name}
          report=${report?.routes.find((row) => row.hostname === one.hostname)} edit=${() => setOpen(one.hostname)}
          remove=${remove(one.hostname)} read=${read} back=${() => title.current.focus()} />`}</li>`)}
      ${sent.map((host) => html`<li key="+${host}"><div class="grow"><span class="mono">${inert(host)}</span>
        <div class="dim small">Cloudflare sends it here, but it is not listed, so it is refused.</div></div>
        ${!host.includes("*") && html`<button type="button" onClick=${add(host)} aria-label="Add it: ${inert(host)}">Add it</button>`}</li>`)}
      ${open === "+" && html`<li key="+">${form({ hostname: hint, service: "" }, null)}</li>`}
      ${!quick && shown.length > 0 && html`<li key="rest" class="dim small">Everything else is refused (404). Sign-in is asked for at each.</li>`}</ul></div>`;
}

function Row({ route, at, all, quick, named, name, report, edit, remove, read, back }) {
  const [error, setError] = useState(null);
  const host = inert(route.hostname);
  const [kind, word] = report && DNS[report.state] ? DNS[report.state] : DNS.unknown;
  const called = quick ? `where ${name} leads` : host;
  return html`<div class="grow">${quick ? html`<span>Its address</span>` : html`<a class="mono link" href="https://${route.hostname}" target="_blank" rel="noreferrer">${host}</a>`}
      <span class="dim"> leads to </span><span class=${route.service ? "mono" : ""}>${goal(route.service)}</span><span class="dim">, behind sign-in</span>
      ${!quick && report?.text && html`<div class="dim small">${inert(report.text)}</div>`}
      ${report?.reason && html`<${Why} reason=${report.reason} what=${report.reason.what !== report.text} />`}<${Failure} error=${error} /></div>
    ${!quick && html`<${State} kind=${kind} word=${html`<span class="unseen">DNS: </span>${word}`} />`}
    <div class="row wrap">${!quick && all.length > 1 && html`<${Move} by=${-1} at=${at} all=${all} name=${name} read=${read} fail=${setError} />
        <${Move} by=${1} at=${at} all=${all} name=${name} read=${read} fail=${setError} />`}
      <button type="button" onClick=${edit} aria-label="Change ${called}">Change</button>
      ${!quick && html`<${Act} kind="danger" act=${remove} doing="Removing…" fail=${setError} name="Remove ${host}" ask=${{
        title: `Remove ${host}?`, yes: "Remove", danger: true,
        text: `Whoever asks for it is told that it is not here. What is open there ends. ${
          named ? "Its DNS record at Cloudflare is deleted too, where the certificate allows it. " : ""}${RESTARTS_NOTHING}`,
      }}>Remove<//>`}</div>`;
}

/** One place up or down; the button keeps the focus where the row goes. */
function Move({ by, at, all, name, read, fail }) {
  const box = useRef(null);
  const moved = useRef(false);
  const host = all[at].hostname;
  const to = at + by;
  const idle = to < 0 || to >= all.length;
  useEffect(() => {
    if (!moved.current) return;
    moved.current = false;
    box.current.querySelector("button").focus();
    say(`${host} is number ${at + 1} of ${all.length} now.`);
  }, [at]);
  const move = async () => {
    await changeRoutes(name, (list) => {
      const from = list.findIndex((one) => one.hostname === host);
      return list[from + by] ? swap(list, from, from + by) : list;
    });
    moved.current = true;
    await read();
  };
  const word = by < 0 ? "up" : "down";
  return html`<span ref=${box}><${Act} act=${move} idle=${idle} fail=${fail} name="Move ${inert(host)} ${word}"><span aria-hidden="true">${by < 0 ? "↑" : "↓"}</span><//></span>`;
}
