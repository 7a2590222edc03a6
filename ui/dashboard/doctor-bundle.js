// The support bundle: shown file by file before anything leaves, then saved exactly as shown.

import { html, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { Failure, say, toast, useAction } from "/parts.js";
import { bytes, inert } from "/words.js";
import { zip } from "/zip.js";

const FOLDER = "nexus-tray-support";

export function Bundle() {
  const [bundle, set] = useState(null);
  const [busy, error, run] = useAction(async () => {
    const made = await send("POST", "/support-bundles");
    set(made);
    say(`Gathered ${made.files.length} files. Nothing has left this computer.`);
  });
  const word = bundle ? "Gather again" : "Show what it would hold";
  return html`<section class="sheet stack" aria-labelledby="bundle"><div><h2 id="bundle">Support bundle</h2>
      <p class="dim">For whoever helps you: settings, this examination and the last log lines, without secrets, names and
        addresses. You see all of it first; nothing is sent.</p></div>
    <div class="row wrap"><button type="button" aria-busy=${busy ? "true" : null} aria-disabled=${busy ? "true" : null}
        onClick=${run}>${busy ? "Gathering…" : word}</button>
      ${bundle && html`<button type="button" class="primary" onClick=${() => save(bundle)}>Save as a zip</button>
        <button type="button" onClick=${() => set(null)}>Throw away</button>`}</div>
    <${Failure} error=${error} />
    ${bundle && html`<${Preview} files=${bundle.files} />`}</section>`;
}

/** Save exactly what is shown. */
function save({ at, files }) {
  const packed = files.map(({ name, text }) => ({ name: `${FOLDER}/${name}`, text }));
  const blob = new Blob(zip(packed, at), { type: "application/zip" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${FOLDER}-${new Date(at * 1000).toISOString().slice(0, 10)}.zip`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  toast(`Saved ${files.length} files, ${bytes(blob.size)}.`);
}

/** A text with its lines kept, and nothing else in it that acts. */
const shown = (text) => text.split("\n").map(inert).join("\n");

/** The lines of a text that have the words, each with its number. */
const found = (text, words) => text.split("\n").map((line, at) => [at + 1, line])
  .filter(([, line]) => line.toLowerCase().includes(words));

function Preview({ files }) {
  const [name, choose] = useState(files[0].name);
  const [typed, type] = useState("");
  const words = typed.trim().toLowerCase();
  const file = files.find((one) => one.name === name) || files[0];
  const hits = new Map(files.map((one) => [one.name, words ? found(one.text, words).length : 0]));
  const many = [...hits.values()].filter(Boolean).length;
  const sum = [...hits.values()].reduce((all, one) => all + one, 0);
  const about = (one) => (words ? `${hits.get(one.name)} found` : bytes(new Blob([one.text]).size));
  return html`<div class="row wrap bundle-bar"><label for="bundle-file" class="unseen">File</label>
      <select id="bundle-file" value=${file.name} onChange=${(event) => choose(event.target.value)}>
        ${files.map((one) => html`<option key=${one.name} value=${one.name} selected=${one.name === file.name}>${inert(one.name)} (${about(one)})</option>`)}</select>
      <label for="bundle-search" class="unseen">Search in all files</label>
      <input id="bundle-search" type="search" class="grow" placeholder="Search in all files" spellcheck=${false} value=${typed}
        onInput=${(event) => type(event.target.value)} />
      <span class="dim small" role="status">${words ? `${sum} ${sum === 1 ? "line" : "lines"} in ${many} ${many === 1 ? "file" : "files"}` : ""}</span></div>
    <pre class="bundle mono" tabindex="0" role="region" aria-label="What ${inert(file.name)} holds">${words
      ? found(file.text, words).map(([at, line]) => html`<${Line} key=${at} at=${at} line=${line} words=${words} />`)
      : shown(file.text)}</pre>`;
}

function Line({ at, line, words }) {
  const from = line.toLowerCase().indexOf(words);
  const [before, hit, after] = [line.slice(0, from), line.slice(from, from + words.length), line.slice(from + words.length)];
  return html`<span class="dim">${at}: </span>${inert(before)}<mark>${inert(hit)}</mark>${inert(after)}${"\n"}`;
}
