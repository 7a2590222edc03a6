// An export of the API as a file: read as a stream, with its progress, and stoppable.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { ask, query } from "/api.js";
import { Failure, toast } from "/parts.js";
import { bytes, count } from "/words.js";

const FORMATS = [["text", "Text", "txt"], ["jsonl", "JSON lines", "jsonl"], ["csv", "CSV", "csv"]];

/** `path` answers what `filters` match in a `format`; `name` is the file's, without its end. */
export function Download({ path, filters, name }) {
  const [form, setForm] = useState("text");
  const [got, setGot] = useState(null); // bytes, lines, and how many lines there are at most
  const [error, setError] = useState(null);
  const stop = useRef(null);

  const run = async () => {
    setError(null);
    setGot({ size: 0, lines: 0, most: null });
    stop.current = new AbortController();
    try {
      const answer = await ask("GET", `${path}${query({ ...filters, format: form })}`, undefined, {}, stop.current.signal);
      const told = answer.headers.get("Nexus-Lines-At-Most");
      const most = told === null ? null : Number(told);
      const parts = [];
      let [size, lines] = [0, 0];
      for (const reader = answer.body.getReader(); ;) {
        const { value, done } = await reader.read();
        if (done) break;
        parts.push(value);
        size += value.length;
        lines += newlines(value);
        setGot({ size, lines, most });
      }
      const suffix = FORMATS.find(([key]) => key === form)[2];
      save(new Blob(parts, { type: "application/octet-stream" }), `${name}.${suffix}`);
      toast(`Exported ${counted(lines)}, ${bytes(size)}.`);
    } catch (problem) {
      if (problem.name !== "AbortError") setError(problem);
    } finally {
      setGot(null);
    }
  };

  return html`<div class="row wrap export">
    ${got === null
      ? html`<select aria-label="Format of the export" value=${form} onChange=${(event) => setForm(event.target.value)}>
          ${FORMATS.map(([key, word]) => html`<option value=${key} selected=${key === form}>${word}</option>`)}</select>
        <button type="button" onClick=${run}>Export</button>`
      : html`<span class="dim small">Exporting… ${far(got)}</span>
        <button type="button" onClick=${() => stop.current.abort()}>Cancel</button>`}
    <${Failure} error=${error} /></div>`;
}

const counted = (lines) => `${count(lines)} ${lines === 1 ? "line" : "lines"}`;

/** How far it is, as far as that can be known: a filter leaves lines out. */
function far({ size, lines, most }) {
  const all = most === null ? "" : ` of at most ${count(most)}`;
  return `${count(lines)}${all} lines, ${bytes(size)}`;
}

function newlines(chunk) {
  let found = 0;
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) found += 1;
  return found;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
