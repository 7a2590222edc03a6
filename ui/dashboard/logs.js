// The logs: search, filters, follow, a time, a line, and all that is filtered as a file.
//
// The filters stand in the address, so that what is looked at can be linked to and comes
// back with the page.

import { html, useEffect, useMemo, useRef, useState } from "/vendor/preact-htm.js";
import { get, query } from "/api.js";
import { Copy, Failure, Why, say } from "/parts.js";
import { Everything, Matches } from "/log-source.js";
import { Download } from "/download.js";
import { LogList } from "/log-list.js";
import { Marked, marker } from "/log-line.js";
import { clock, count, day, inert, local } from "/words.js";

const LEVELS = [["debug", "Every level"], ["info", "Info and above"], ["warning", "Warnings and errors"], ["error", "Errors only"]];
const SPANS = [["", "Any time"], ["900", "Last 15 min"], ["3600", "Last hour"], ["86400", "Last 24 h"], ["604800", "Last 7 days"], ["between", "Between…"]];
const TYPING_MS = 250;

const read = (search) => {
  const given = Object.fromEntries(new URLSearchParams(search));
  return { source: "", level: "debug", words: "", pattern: "", span: "", since: "", until: "", line: "", ...given };
};

/** The page's address with these choices; what is not chosen is not in it. */
function address(chosen) {
  const kept = Object.entries(chosen).filter(([name, value]) => value && !(name === "level" && value === "debug"));
  return `/logs${query(Object.fromEntries(kept))}`;
}

/** What the page's choices are to the API. A span is counted back from when it was chosen. */
function filtersOf(chosen, now) {
  const between = chosen.span === "between";
  const at = (text) => (text ? new Date(text).getTime() / 1000 : undefined);
  return {
    sources: chosen.source || undefined,
    level: chosen.level === "debug" ? undefined : chosen.level,
    words: chosen.words.trim() || undefined,
    pattern: chosen.pattern || undefined,
    since_at: between ? at(chosen.since) : chosen.span ? now - Number(chosen.span) : undefined,
    until_at: between ? at(chosen.until) : undefined,
  };
}

export function Logs({ live, search }) {
  const chosen = read(search);
  const change = (more) => {
    const next = { ...chosen, line: "", ...more };
    history.replaceState(null, "", `#${address(next)}`);
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  const key = JSON.stringify({ ...chosen, line: "" });
  const filters = useMemo(() => filtersOf(chosen, Date.now() / 1000), [key]);
  const names = [...live.snapshot.services.map((service) => service.name), "nexus-tray"];
  return html`<div class="logs-page"><div class="row between wrap"><h1>Logs</h1><${Download} path="/logs/export" filters=${filters} name="nexus-tray-logs" /></div>
    <${Filters} chosen=${chosen} change=${change} names=${names} />
    <${Lines} key=${key} filters=${filters} line=${Number(chosen.line) || 0} chosen=${chosen} /></div>`;
}

function Filters({ chosen, change, names }) {
  const isPattern = Boolean(chosen.pattern) || chosen.mode === "pattern";
  const [text, setText] = useState(chosen.pattern || chosen.words);
  const [byPattern, setByPattern] = useState(isPattern);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const timer = setTimeout(() => change(byPattern ? { pattern: text, words: "" } : { words: text, pattern: "" }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, byPattern]);
  const pick = (name, label, options, value) => html`<select aria-label=${label} value=${value}
    onChange=${(event) => change({ [name]: event.target.value })}>
    ${options.map(([key, word]) => html`<option value=${key} selected=${key === value}>${word}</option>`)}</select>`;
  return html`<div class="row wrap filters" role="search">
    <input type="search" class="grow" value=${text} spellcheck=${false} autocomplete="off"
      aria-label=${byPattern ? "Regular expression" : "Words that all occur"}
      placeholder=${byPattern ? "Regular expression" : "Words"} onInput=${(event) => setText(event.target.value)} />
    <button type="button" aria-pressed=${byPattern ? "true" : "false"} aria-label="Search by regular expression"
      title="Search by regular expression" onClick=${() => setByPattern(!byPattern)}><span class="mono">.*</span></button>
    ${pick("source", "Source", [["", "All sources"], ...names.map((name) => [name, name])], chosen.source)}
    ${pick("level", "Level", LEVELS, chosen.level)}
    ${pick("span", "Time", SPANS, chosen.span)}
    ${chosen.span === "between" && html`
      <input type="datetime-local" step="1" aria-label="From" value=${chosen.since} onChange=${(e) => change({ since: e.target.value })} />
      <input type="datetime-local" step="1" aria-label="Until" value=${chosen.until} onChange=${(e) => change({ until: e.target.value })} />`}
  </div>`;
}

function Lines({ filters, line, chosen: choice }) {
  const [, draw] = useState(0);
  const [follow, setFollow] = useState(!line);
  const [chosen, setChosen] = useState(line || null);
  const [whole, setWhole] = useState(null);
  const live = useRef({ follow: !line, seen: 0 }).current;
  const view = useRef({}).current;
  live.follow = follow;
  const test = useMemo(() => marker(filters), []);

  const source = useMemo(() => {
    const plain = Object.values(filters).every((value) => value === undefined);
    const made = new (plain ? Everything : Matches)(filters, (shift) => {
      if (live.follow) view.toEnd?.();
      else if (shift) view.shift?.(shift);
      draw((n) => n + 1);
    });
    return made;
  }, []);
  useEffect(() => {
    source.start().then(() => line && source.count && go(line, true));
    return () => source.close();
  }, []);
  useEffect(() => { if (follow) live.seen = source.count; });

  const go = async (id, open) => {
    setFollow(false);
    live.follow = false;
    await source.reach?.(id);
    const index = source.indexOf(id);
    if (index < 0) return;
    view.toIndex(index);
    setChosen(id);
    if (open) {
      await source.want(index, index);
      const found = source.line(index);
      if (found?.id === id) setWhole(found);
    }
  };
  const goTo = async (at) => {
    let after = 0;
    for (let page; ; after = page.last_id) {
      page = await get(`/logs${query({ ...filters, since_at: at, after, limit: 1 })}`);
      if (page.lines.length) return go(page.lines[0].id);
      if (!page.more || page.last_id <= after) return say("There is no line at or after that time.");
    }
  };
  const toggle = () => {
    setFollow(!follow);
    live.follow = !follow;
    if (!follow) view.toEnd();
  };
  const choose = (found) => {
    setChosen(found.id);
    if (whole) setWhole(found);
  };
  view.onKey = keys({ source, view, chosen, choose, setWhole, toggle, stop: () => setFollow(false) });
  useEffect(() => {
    const press = (event) => {
      if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.altKey
        && !event.target.closest("input, textarea, select, dialog")) toggle();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  });

  const fresh = follow ? 0 : source.count - live.seen;
  return html`<div class="lines">
    <div class="row wrap between bar"><span class="dim small">${tally(source, filters)}</span>
      <div class="row wrap"><${GoTo} go=${goTo} />
      <button type="button" class=${follow ? "primary" : ""} aria-pressed=${follow ? "true" : "false"} onClick=${toggle}>Follow</button></div></div>
    <${Failure} error=${source.error} />
    ${source.trouble && html`<div class="note down" role="alert"><${Why} reason=${source.trouble} /></div>`}
    <div class="frame">
      <${LogList} source=${source} view=${view} follow=${follow} onFollow=${setFollow} chosen=${chosen}
        onChoose=${choose} onOpen=${setWhole} test=${test} />
      ${source.ready && !source.count && !source.error && html`<p class="none dim">
        ${Object.values(filters).some((value) => value !== undefined) ? "No line matches." : "No lines yet."}</p>`}
      ${fresh > 0 && html`<button type="button" class="fresh" onClick=${toggle}>${count(fresh)} new ${fresh === 1 ? "line" : "lines"} ↓</button>`}
    </div>
    ${whole && html`<${Whole} line=${whole} test=${test} choice=${choice} close=${() => setWhole(null)} />`}</div>`;
}

function tally(source, filters) {
  if (!source.ready) return "Reading…";
  const plain = Object.values(filters).every((value) => value === undefined);
  if (plain) return `${count(source.count)} ${source.count === 1 ? "line" : "lines"}`;
  return `${count(source.count)} ${source.count === 1 ? "line matches" : "lines match"}${source.older ? " so far; older ones come as you scroll up" : ""}`;
}

/** Keys in the list, as in any list box. */
const keys = ({ source, view, chosen, choose, setWhole, toggle, stop }) => (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = chosen ? source.indexOf(chosen) : source.count - 1;
  const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -at, End: source.count - 1 - at }[event.key];
  if (move !== undefined) {
    const far = chosen || event.key.length < 5; // Home and End go there; an arrow first chooses one
    const index = Math.min(Math.max(0, at + (far ? move : 0)), source.count - 1);
    if (move < 0) stop();
    view.reveal(index);
    const step = () => {
      const line = source.line(index);
      if (line) choose(line);
    };
    if (source.line(index)) step();
    else source.want(index, index).then(step);
  } else if (event.key === "Enter" && source.line(at)) {
    setWhole(source.line(at));
  } else if (event.key === "Escape") {
    setWhole(null);
  } else if (event.key === "c" && source.line(at)) {
    navigator.clipboard.writeText(inert(source.line(at).text)).then(() => say("Copied."), console.warn);
  } else {
    return;
  }
  event.preventDefault();
};

function GoTo({ go }) {
  const [text, setText] = useState(local(Date.now() / 1000));
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    setError(null);
    try {
      await go(new Date(text).getTime() / 1000);
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<form class="row goto" onSubmit=${submit}>
    <input type="datetime-local" step="1" required aria-label="Time to go to" value=${text} onInput=${(event) => setText(event.target.value)} />
    <button>Go to time</button><${Failure} error=${error} /></form>`;
}

/** The chosen line whole: nothing cut, nothing acting. */
function Whole({ line, test, choice, close }) {
  const link = `${location.origin}/#${address({ ...choice, line: line.id })}`;
  return html`<section class="sheet whole" aria-label="The chosen line"><div class="row between wrap">
      <span class="small dim">${day(line.at)}, ${clock(line.at)} · ${line.source} · ${line.level} · line ${line.id}</span>
      <div class="row"><${Copy} text=${inert(line.text)} name="Copy the line">Copy line<//>
        <${Copy} text=${link} name="Copy a link to the line">Copy link<//>
        <button type="button" onClick=${close}>Close</button></div></div>
    <pre class="mono"><${Marked} text=${line.text} test=${test} most=${Infinity} /></pre></section>`;
}
