// An export of the API as a file: read as a stream, with its progress, and stoppable.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { ask, query } from "/api.js";
import { Failure, toast } from "/parts.js";
import { bytes } from "/words.js";

const FORMATS = [["text", "Text", "txt"], ["jsonl", "JSON lines", "jsonl"], ["csv", "CSV", "csv"]];

/** `path` answers what `filters` match in a `format`; `name` is the file's, without its end. */
export function Download({ path, filters, name }) {
  const [form, setForm] = useState("text");
  const [got, setGot] = useState(null);
  const [error, setError] = useState(null);
  const stop = useRef(null);

  const run = async () => {
    setError(null);
    setGot(0);
    stop.current = new AbortController();
    try {
      const answer = await ask("GET", `${path}${query({ ...filters, format: form })}`, undefined, {}, stop.current.signal);
      const parts = [];
      let size = 0;
      for (const reader = answer.body.getReader(); ;) {
        const { value, done } = await reader.read();
        if (done) break;
        parts.push(value);
        size += value.length;
        setGot(size);
      }
      const suffix = FORMATS.find(([key]) => key === form)[2];
      save(new Blob(parts, { type: "application/octet-stream" }), `${name}.${suffix}`);
      toast(`Exported ${bytes(size)}.`);
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
      : html`<span class="dim small">Exporting… ${bytes(got)}</span>
        <button type="button" onClick=${() => stop.current.abort()}>Cancel</button>`}
    <${Failure} error=${error} /></div>`;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
