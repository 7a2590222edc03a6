// The two programs we need: where they are, an update or a way back, and one on its way here.

import { html, useEffect } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Act, Failure, State, Why, toast } from "/parts.js";
import { bytes, inert } from "/words.js";

export const TOOLS = { opencode: "OpenCode", cloudflared: "cloudflared" };
const WHAT = { opencode: "The coding agent itself.", cloudflared: "The tunnel program that makes it reachable." };

const FETCH_MS = 500;

/** Reads the setup, and again as long as something is on its way. `also`: what may change it. */
export function useSetup(also) {
  const [setup, error, read] = useFetched((signal) => get("/setup", signal), also);
  const coming = setup?.tools.some((tool) => tool.fetch) || false;
  useEffect(() => {
    if (!coming) return undefined;
    const timer = setInterval(() => document.hidden || read(), FETCH_MS);
    return () => clearInterval(timer);
  }, [coming]);
  return [setup, error, read];
}

/** A section of its own, of what `useSetup` found. */
export function Programs({ setup, error, read }) {
  return html`<section class="sheet" aria-labelledby="programs"><h2 id="programs">Programs</h2>
    <${Failure} error=${error} />
    ${setup && html`<ul class="list">${setup.tools.map((tool) => html`<${Tool} key=${tool.name} tool=${tool} read=${read} />`)}</ul>
      <p class="dim small">What is fetched is the official file; it is checked before it may run.</p>`}</section>`;
}

/** One program, and what can be done about it. */
export function Tool({ tool, read }) {
  const { fetch, name } = tool;
  const title = TOOLS[name];
  const after = (deed) => async () => {
    const said = await deed();
    await read();
    return said;
  };
  const begin = after(() => send("PUT", `/tools/${name}/fetch`));
  const cancel = after(() => send("DELETE", `/tools/${name}/fetch`));
  const back = async () => {
    const { value } = await send("POST", `/tools/${name}/restorations`);
    toast(inert(value));
    await read();
  };
  const old = tool.path && tool.fetchable && !fetch;
  return html`<li class="tool"><div class="grow"><b>${title}</b> <span class="dim">${WHAT[name]}</span>
      ${tool.path && html`<div class="dim small mono">${inert(tool.path)}</div>`}
      ${fetch && html`<${Progress} name=${title} fetch=${fetch} />`}
      ${!fetch && tool.reason && html`<${Why} reason=${tool.reason} />`}</div>
    ${tool.path && html`<${State} kind=${old ? "busy" : "up"} word=${tool.version ? `Found, ${tool.version}` : "Found"} />`}
    ${!tool.path && !fetch && html`<${State} kind="down" word="Missing" />`}
    ${fetch && html`<${Act} act=${cancel} doing="Ending…" name="Cancel fetching ${title}">Cancel<//>`}
    ${old && html`<${Act} act=${begin} doing="Beginning…" name="Update ${title}">Update<//>`}
    ${tool.restorable && !fetch && html`<${Act} act=${back} doing="Going back…" name="Go back to ${title} ${tool.restorable}"
      ask=${{ title: `Go back to ${title} ${tool.restorable}?`, text: "It is used from its next start on. You can update again.", yes: "Go back" }}>
      Go back to ${inert(tool.restorable)}<//>`}</li>`;
}

/** How far it is; without a size, only that it comes. */
function Progress({ name, fetch }) {
  const { done_bytes: done, total_bytes: total } = fetch;
  const words = total ? `${bytes(done)} of ${bytes(total)}` : done ? `${bytes(done)} so far` : "It is on its way; how far is not told.";
  return html`<progress class="wide" aria-label="Fetching ${name}" max=${total || null} value=${total ? done : null}></progress>
    <div class="dim small">${words}</div>`;
}
