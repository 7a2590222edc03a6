// What is seldom needed of a tunnel: the public certificate, the transport, the file that
// cloudflared is given, its ids; and another token for one that was made at Cloudflare.

import { html, useState } from "/vendor/preact-htm.js";
import { useNow } from "/live.js";
import { Copy, Failure, State, Why, confirm, toast, useAction } from "/parts.js";
import { changeTunnel, setToken } from "/tunnel-calls.js";
import { day, inert, span } from "/words.js";

export function Details({ tunnel, service, report, read }) {
  const file = report?.configuration;
  const ids = [["Tunnel", tunnel.tunnel_id], ["Account", tunnel.account_id], ["Domain", tunnel.zone_id]].filter(([, id]) => id);
  return html`<details><summary>Certificate, transport, configuration</summary><div class="stack inner">
    ${tunnel.kind === "token" && report?.origin && !report.by_hand.length && html`<${Origin} origin=${report.origin} name=${tunnel.name} />`}
    <${Certificates} list=${report?.certificates || []} />
    <${Transport} tunnel=${tunnel} service=${service} read=${read} />
    ${file && html`<div><div class="row between wrap"><b>The file for cloudflared</b><${Copy} text=${file} name="Copy the file for cloudflared of ${tunnel.name}" /></div>
      <pre class="sunk" tabindex="0" aria-label="The file for cloudflared of ${tunnel.name}">${inertLines(file)}</pre>
      <p class="dim small">Made by Nexus Tray at each start; cloudflared leads everything to the gateway, and the gateway to what is listed above.</p></div>`}
    ${ids.length > 0 && html`<dl class="facts">${ids.map(([name, id]) => html`<div><dt>${name}</dt><dd class="mono small">${inert(id)}</dd></div>`)}</dl>`}
  </div></details>`;
}

/** What is pasted into Cloudflare. */
export const Origin = ({ origin, name }) => html`<p class="row wrap"><span>Where Cloudflare has to lead: <span class="mono">${inert(origin)}</span></span>
  <${Copy} text=${origin} name="Copy where Cloudflare has to lead for ${name}" /></p>`;

const inertLines = (text) => text.split("\n").map(inert).join("\n");

function Certificates({ list }) {
  const now = useNow(list.length > 0);
  return html`<div><b>The certificate that browsers meet</b>
    ${!list.length && html`<p class="dim small">Not known: none has been looked at yet.</p>`}
    <ul class="list">${list.map((one) => html`<li key=${one.hostname}><div class="grow"><span class="mono">${inert(one.hostname)}</span>
        <div class="dim small">${[one.issuer && `from ${inert(one.issuer)}`, one.names.length > 0 && `for ${one.names.map(inert).join(", ")}`,
          one.not_after_at != null && ends(one.not_after_at, now), `looked at ${span(Math.max(0, now - one.checked_at))} ago`].filter(Boolean).join(" · ")}</div>
        ${one.chain.length > 1 && html`<div class="dim small">Vouched for by ${one.chain.slice(1).map(inert).join(", then ")}</div>`}
        ${one.reason && html`<${Why} reason=${one.reason} />`}</div>
      <${State} kind=${one.trusted ? (one.reason ? "busy" : "up") : "down"} word=${one.trusted ? "Trusted" : "Not trusted"} /></li>`)}</ul></div>`;
}

const ends = (at, now) => (at < now ? `ended ${day(at)}` : `ends ${day(at)}, in ${span(at - now)}`);

const TRANSPORTS = { auto: "Automatic: QUIC, else HTTP/2", quic: "QUIC only (UDP)", http2: "HTTP/2 only (TCP)" };

/** Asked before, for it ends what runs. */
function Transport({ tunnel, service, read }) {
  const [busy, error, run] = useAction(async (transport) => {
    await changeTunnel(tunnel.name, { transport });
    toast(`Tunnel “${tunnel.name}” uses another transport now.`);
    await read();
  });
  const [, again] = useState(0);
  const runs = service.desired === "running" && service.state !== "stopped";
  const choose = async (event) => {
    const chosen = event.target.value;
    const more = tunnel.kind === "quick" ? " It gets a new address; browsers sign in and phones pair again there." : " Its address stays.";
    if (!runs || await confirm({ title: "Restart the tunnel with another transport?", yes: "Change and restart", danger: true,
      text: `Requests that run through it end.${more}` })) await run(chosen);
    again((number) => number + 1); // the field shows what holds
  };
  const id = `transport-${tunnel.name}`;
  return html`<div class="field"><label for=${id}>Transport to Cloudflare</label>
    <select id=${id} value=${tunnel.transport} aria-busy=${busy ? "true" : null} aria-describedby="${id}-about" onChange=${choose}>
      ${Object.entries(TRANSPORTS).map(([key, words]) => html`<option value=${key} selected=${key === tunnel.transport}>${words}</option>`)}</select>
    <p class="dim small" id="${id}-about">Changing it restarts the tunnel and ends the requests that run.</p><${Failure} error=${error} /></div>`;
}

/** Another token of the same tunnel; open at once when the present one was refused. */
export function NewToken({ tunnel, reason, read }) {
  const [text, setText] = useState("");
  const refused = Boolean(reason && /token|secret-refused|tunnel-gone/.test(reason.code));
  const [busy, error, run] = useAction(async () => {
    await setToken(tunnel.name, text.trim());
    setText("");
    toast(`Tunnel “${tunnel.name}” has a new token and starts again.`);
    await read();
  });
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) run();
  };
  const id = `token-${tunnel.name}`;
  return html`<details open=${refused}><summary>Enter another token</summary><form class="inner field" onSubmit=${submit}>
    <label for=${id}>Token, or the whole line that Cloudflare shows for installing it</label>
    <div class="row wrap"><input id=${id} class="grow mono" type="password" autocomplete="off" spellcheck=${false} value=${text} onInput=${(event) => setText(event.target.value)} />
      <button aria-disabled=${text.trim() && !busy ? null : "true"} aria-busy=${busy ? "true" : null}>${busy ? "Checking…" : "Use it"}</button></div>
    <p class="dim small">It has to be of the same tunnel. The tunnel is restarted, and requests that run through it end.</p><${Failure} error=${error} /></form></details>`;
}
