// What a cloudflared that was set up by hand left on this computer, looked for on request.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { Act, Failure, State, Why, toast } from "/parts.js";
import { readImportable, takeOver } from "/tunnel-calls.js";
import { inert, tail } from "/words.js";

const KINDS = { zone: "A domain’s certificate", named: "A tunnel’s credentials", token: "A tunnel’s token" };

export function Import({ read }) {
  const [found, setFound] = useState(null);
  const [taken, setTaken] = useState({}); // by path: what came of it
  const [error, setError] = useState(null);
  const list = useRef(null);
  const look = async () => {
    setFound(await readImportable());
    list.current?.focus();
  };
  const take = (one) => async () => {
    const { value } = await takeOver(one.path);
    setTaken((before) => ({ ...before, [one.path]: value || "Taken over." }));
    toast("Taken over. The file itself was not changed.");
    list.current?.focus();
    await read();
  };
  return html`<section class="sheet" aria-labelledby="import"><div class="row between wrap"><div class="grow broad">
      <h2 id="import" ref=${list} tabindex="-1">Already using cloudflared?</h2>
      <p class="dim">What it has in its folder (~/.cloudflared) can be taken over. It is only read, never changed.</p></div>
      <${Act} act=${look} doing="Looking…" fail=${setError}>${found ? "Look again" : "Look for it"}<//></div>
    <${Failure} error=${error} />
    ${found && !found.length && html`<p role="status">Nothing was found that can be taken over.</p>`}
    ${found?.length > 0 && html`<ul class="list">${found.map((one) => html`<li key=${one.path}><div class="grow">
        <b>${inert(one.name) || KINDS[one.kind]}</b>${" "}<span class="pill">${KINDS[one.kind] || inert(one.kind)}</span>
        <div class="dim small mono" title=${inert(one.path)}>${inert(tail(one.path, 60))}</div>
        ${one.hostnames.length > 0 && html`<div class="small">${one.hostnames.map(inert).join(", ")}</div>`}
        ${one.reason && html`<${Why} reason=${one.reason} />`}
        ${taken[one.path] && html`<div class="small">${inert(taken[one.path])}</div>`}</div>
      ${taken[one.path] ? html`<${State} kind="up" word="Taken over" />`
        : !one.reason && html`<${Act} act=${take(one)} doing="Taking over…" name="Take over ${inert(one.name || one.path)}">Take over<//>`}</li>`)}</ul>`}</section>`;
}
