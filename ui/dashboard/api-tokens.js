// API tokens: for programs that speak to OpenCode from elsewhere, such as `opencode attach`.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, toast } from "/parts.js";
import { StepUp } from "/step-up.js";
import { When } from "/when.js";
import { bytes, inert } from "/words.js";

const SCOPES = [["full", "Full: all that OpenCode can do"], ["read", "Read only: sessions, messages and events"]];
const DAYS = [[1, "1 day"], [7, "1 week"], [30, "30 days"], [90, "90 days"], [365, "1 year"]];

export function Tokens({ access, read }) {
  const [asks, setAsks] = useState(false);
  const [made, setMade] = useState(null);
  const title = useRef(null);
  const now = useNow();
  return html`<section class="sheet stack" aria-labelledby="tokens"><div class="row between wrap">
      <div class="grow broad"><h2 id="tokens" ref=${title} tabindex="-1">API tokens</h2>
        <p class="dim">For programs, such as <code>opencode attach</code> in a terminal elsewhere. A token is a password of its own for OpenCode; this page is not open to it.</p></div>
      ${!asks && !made && html`<button type="button" aria-disabled=${access.password ? null : "true"}
        onClick=${() => access.password && setAsks(true)}>New token…</button>`}</div>
    ${asks && html`<${Ask} close=${() => setAsks(false)} done=${async (token) => { setAsks(false); setMade(token); await read(); }} />`}
    ${made && html`<div class="note up"><div class="stack"><p role="status"><b>This is the token. It is not shown again.</b></p>
      <p class="mono wrap">${inert(made)}</p><div class="row wrap"><${Copy} text=${made} name="Copy the token">Copy<//>
        <button type="button" onClick=${() => setMade(null)}>I have kept it</button></div></div></div>`}
    ${access.tokens.length > 0 && html`<ul class="list">${access.tokens.map((one) =>
      html`<${Row} key=${one.id} token=${one} now=${now} revoked=${async () => { title.current.focus(); await read(); }} />`)}</ul>`}</section>`;
}

function Ask({ close, done }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState("full");
  const [days, setDays] = useState(30);
  const make = async (current) => done((await send("POST", "/tokens", { current, name: name.trim(), scope, days })).value);
  const choice = (id, label, value, all, set) => html`<div><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => set(event.target.value)}>
      ${all.map(([key, words]) => html`<option value=${key} selected=${key === value}>${words}</option>`)}</select></div>`;
  return html`<${StepUp} id="token-password" yes="Make the token" doing="Making…" act=${make} cancel=${close} idle=${!name.trim()}>
    <div><label for="token-name">What it is for</label><input id="token-name" maxlength="64" autocomplete="off" value=${name}
      onInput=${(event) => setName(event.target.value)} /></div>
    ${choice("token-scope", "What it may do", scope, SCOPES, setScope)}
    ${choice("token-days", "How long it is good", days, DAYS, (value) => setDays(Number(value)))}<//>`;
}

function Row({ token, now, revoked }) {
  const [error, setError] = useState(null);
  const name = inert(token.name);
  const revoke = async () => {
    await send("DELETE", `/tokens/${encodeURIComponent(token.id)}`);
    toast(`${name} is void.`);
    await revoked();
  };
  return html`<li><div class="grow"><b>${name}</b>${" "}<span class="pill">${token.scope === "read" ? "read only" : "full"}</span>
      <div class="dim small">${token.seen_at ? html`Used <${When} at=${token.seen_at} now=${now} /> from <span class="mono">${
        inert(token.address)}</span> · ${bytes(token.received)} in, ${bytes(token.sent)} out` : "Never used"}</div>
      <div class="dim small">Made <${When} at=${token.made_at} now=${now} /> · ends <${When} at=${token.expires_at} now=${now} ahead /></div>
      <${Failure} error=${error} /></div>
    <${Act} kind="danger" act=${revoke} doing="Voiding…" fail=${setError} name="Revoke ${name}"
      ask=${{ title: `Revoke ${name}?`, text: "What is open with it ends at once.", yes: "Revoke", danger: true }}>Revoke<//></li>`;
}
