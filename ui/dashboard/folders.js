// Which folder OpenCode opens in: the projects it knows, and any other. Choosing restarts nothing.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Act, Failure, toast, useAction } from "/parts.js";
import { inert } from "/words.js";

const PAUSE_MS = 300;
const FEW = 8;

/** The projects, the default first, then as they were last used. */
function known(standard, sessions) {
  const newest = [...sessions].sort((a, b) => (b.updated_at || 0) - (a.updated_at || 0));
  return [...new Set([standard, ...newest.map((one) => one.directory)])].filter(Boolean);
}

/** What is wrong with a path as it is typed: the program looks, and changes nothing, because no
 *  version of the settings has this name. */
function useTrouble(path) {
  const [trouble, set] = useState("");
  useEffect(() => {
    set("");
    if (!path) return undefined;
    const gone = new AbortController();
    const timer = setTimeout(async () => {
      try {
        await send("PATCH", "/config", { opencode: { directory: path } }, { "If-Match": '"only-looking"' });
      } catch (problem) {
        if (!gone.signal.aborted) set(problem.status === 422 ? problem.reason.what : "");
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      gone.abort();
    };
  }, [path]);
  return trouble;
}

/** What a page with the folders reads first, so that nothing moves when it comes. */
export const useFolders = (live) => useFetched((signal) => get("/setup", signal), [live.boot]);

export function Folders({ live, found: [setup, unread, read], level = "h2" }) {
  const [path, setPath] = useState("");
  const trouble = useTrouble(path);
  const sessions = live.snapshot.activity?.sessions || [];
  const choose = async (directory) => {
    const before = (await get("/config")).settings.opencode.directory;
    await send("PATCH", "/config", { opencode: { directory } });
    await read();
    toast("The default project is another one now. Nothing was restarted.", async () => {
      await send("PATCH", "/config", { opencode: { directory: before } });
      await read();
    });
  };
  const [busy, error, take] = useAction(async () => {
    await choose(path);
    setPath("");
  });
  const submit = (event) => {
    event.preventDefault();
    if (path && !trouble) take();
  };
  return html`<section class="sheet" aria-labelledby="projects"><${level} id="projects">Projects<//>
    <p class="dim small">The default is where OpenCode opens and where new sessions begin. Choosing another restarts
      nothing: what runs goes on in its own folder.</p><${Failure} error=${unread} />
    ${setup && html`<ul class="list">${known(setup.directory, sessions).slice(0, FEW).map((one) => html`<li key=${one}>
      <span class="grow mono">${inert(one)}</span>${one === setup.directory ? html`<span class="pill">Default</span>`
        : html`<${Act} act=${() => choose(one)} doing="Choosing…" name="Make default: ${inert(one)}">Make default<//>`}</li>`)}</ul>`}
    <form class="setting" onSubmit=${submit}><div><label for="other-project">Another one</label>
        <div class="dim small" id="other-about">Its whole path on this computer.</div></div>
      <div class="control"><input id="other-project" class="grow mono" spellcheck=${false} autocomplete="off" value=${path}
          aria-describedby="other-about other-wrong" aria-invalid=${trouble ? "true" : null}
          onInput=${(event) => setPath(event.target.value.trim())} />
        <button aria-disabled=${path && !trouble && !busy ? null : "true"}>${busy ? "Choosing…" : "Make default"}</button></div>
      <div class="wrong small" id="other-wrong" aria-live="polite">${trouble}</div><${Failure} error=${error} /></form></section>`;
}
