// Every setting: what it means, its default, a check while it is typed; saved at once, and
// taken back as easily.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Failure, toast, useAction } from "/parts.js";
import { Folders, useFolders } from "/folders.js";
import { Password } from "/password.js";
import { AtLogin, Backup, Browser, End, Keys } from "/settings-more.js";
import { final, meant, nameOf, sectionName, sections, shown, standing, wrong } from "/schema.js";

export function SettingsPage({ live, search }) {
  const [error, setError] = useState(null);
  const wishes = live.snapshot.services.map((service) => service.desired).join();
  const [plan, noPlan] = useFetched(async (signal) =>
    sections((await get("/openapi.json", signal)).components.schemas), [live.boot]);
  const [config, noConfig, read, setConfig] = useFetched((signal) => get("/config", signal), [wishes, live.boot]);
  const folders = useFolders(live);
  const [access, , look] = useFetched((signal) => get("/access", signal), [live.boot]);
  const ready = (plan && config && (folders[0] || folders[1])) || noPlan || noConfig;
  useEffect(() => {
    addEventListener("focus", read);
    return () => removeEventListener("focus", read);
  });

  /** Save one change; `before` is what takes it back. */
  const save = async (change, before, name) => {
    try {
      const now = await send("PATCH", "/config", change, { "If-Match": `"${config.etag}"` });
      setConfig(now);
      toast(`Saved: ${name}.`, before && (async () => {
        try {
          setConfig(await send("PATCH", "/config", before, { "If-Match": `"${now.etag}"` }));
          toast(`As before: ${name}.`);
        } catch (problem) {
          setError(problem);
        }
      }));
    } catch (problem) {
      if (problem.status === 412) await read();
      throw problem;
    }
  };

  return html`<div class="stack"><header><h1>Settings</h1>
      <p class="dim">Saved as you change them. What a service needs a restart for, restarts that service only.
      Who may come in, and how much one device may take, is on the page <a href="#/access">Access</a>.</p></header>
    <${Failure} error=${error || noConfig || noPlan} />
    <${Password} at=${search.includes("at=password")} known=${access?.password} done=${look} />
    ${ready && html`<${Folders} live=${live} found=${folders} />`}
    ${ready && plan && config && plan.filter(({ key }) => key !== "access").map((section) => (section.many
      ? html`<${Many} key=${section.key} section=${section} items=${config.settings[section.key]} save=${save} />`
      : html`<${Section} key=${section.key} section=${section} values=${config.settings[section.key]} save=${save} />`))}
    ${ready && html`<${Keys} /><${AtLogin} /><${Browser} />
      <${Backup} config=${config} save=${save} /><${End} />`}</div>`;
}

function Section({ section, values, save }) {
  const id = `section-${section.key}`;
  return html`<section class="sheet" aria-labelledby=${id}><h2 id=${id}>${sectionName(section.key)}</h2>
    ${section.settings.map((setting) => html`<${Field} key=${setting.key} id="${section.key}-${setting.key}" setting=${setting}
      value=${values[setting.key]} save=${(value) => save(
        { [section.key]: { [setting.key]: value } },
        { [section.key]: { [setting.key]: values[setting.key] } },
        `${sectionName(section.key)}, ${nameOf(setting.key).toLowerCase()}`,
      )} />`)}</section>`;
}

/** A section that is a list: each entry keeps its name, and a change replaces the list (RFC 7396). */
function Many({ section, items, save }) {
  const id = `section-${section.key}`;
  const put = (at, key, value) => items.map((item, index) => (index === at ? { ...item, [key]: value } : item));
  const settings = section.settings.filter(({ key }) => key !== "name");
  return html`<section class="sheet" aria-labelledby=${id}><h2 id=${id}>${sectionName(section.key)}</h2>
    ${section.key === "tunnels" && html`<p class="dim small">New ones, host names and tokens are on the page <a href="#/tunnels">Tunnels</a>.</p>`}
    ${items.map((item, at) => html`<div key=${item.name} role="group" aria-label=${item.name}>
      <h3 class="dim">${item.name}${item.kind && html` <span class="pill">${item.kind}</span>`}</h3>
      ${settings.map((setting) => html`<${Field} key=${setting.key} id="${section.key}-${item.name}-${setting.key}" setting=${setting}
        value=${item[setting.key]} save=${(value) => save(
          { [section.key]: put(at, setting.key, value) }, { [section.key]: items },
          `${item.name}, ${nameOf(setting.key).toLowerCase()}`,
        )} />`)}</div>`)}</section>`;
}

/** One setting: its name, meaning and default, and a field that checks what is typed. */
export function Field({ id, setting, value, save }) {
  const { schema, key, meaning } = setting;
  const [text, setText] = useState(shown(schema, value));
  const [busy, error, run] = useAction(save);
  const typed = useRef(false);
  useEffect(() => { if (!typed.current) setText(shown(schema, value)); }, [shown(schema, value)]);
  const fault = typeof value === "boolean" || schema.enum ? "" : wrong(schema, meant(schema, text));
  const commit = async () => {
    typed.current = false;
    if (fault || busy || text === shown(schema, value)) return;
    await run(final(schema, meant(schema, text)));
  };
  const about = `${id}-about`;
  return html`<div class="setting"><div><label for=${id}>${nameOf(key)}</label>
      <div class="dim small" id=${about}>${meaning} Default: ${standing(schema, setting.default)}.</div></div>
    <div class="control">${typeof value === "boolean"
      ? html`<input id=${id} type="checkbox" class="switch" checked=${value} aria-describedby=${about}
          onChange=${(event) => run(event.target.checked)} />`
      : schema.enum
        ? html`<select id=${id} value=${value} aria-describedby=${about} onChange=${(event) => run(event.target.value)}>
            ${[...new Set([setting.default, ...schema.enum])].map((one) => html`<option value=${one} selected=${one === value}>${one}</option>`)}</select>`
        : html`<input id=${id} value=${text} spellcheck=${false} autocomplete="off" aria-invalid=${fault ? "true" : null}
            inputmode=${schema.type === "integer" ? "numeric" : null} aria-describedby="${about} ${id}-wrong"
            onInput=${(event) => { typed.current = true; setText(event.target.value); }} onChange=${commit}
            onKeyDown=${(event) => {
              if (event.key === "Enter") commit();
              if (event.key === "Escape") { typed.current = false; setText(shown(schema, value)); }
            }} />`}</div>
    <div class="wrong small" id="${id}-wrong" aria-live="polite">${fault}</div><${Failure} error=${error} /></div>`;
}
