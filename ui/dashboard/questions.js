// What OpenCode waits on a person for: leave to do something, or an answer.

import { html, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Failure, openOpenCode, sessionPath } from "/parts.js";
import { inert, span, tail } from "/words.js";

const DEEDS = {
  bash: "run a command", edit: "change a file", write: "write a file", read: "read a file",
  webfetch: "fetch a web page", external_directory: "leave its folder", task: "start another agent",
};

const place = (id) => encodeURIComponent(id);

export const Question = ({ question, session }) => (question.kind === "permission"
  ? html`<${Permission} question=${question} session=${session} />`
  : html`<${Asked} question=${question} session=${session} />`);

function From({ question, session }) {
  const now = useNow();
  return html`<div class="dim small">${inert(tail(question.directory))}
    ${session && html` · <button type="button" class="plain link" onClick=${() => openOpenCode(sessionPath(session))}>
      “${inert(session.title)}”</button>`}
    ${question.asked_at != null && ` · ${span(now - question.asked_at)} ago`}</div>`;
}

function Permission({ question, session }) {
  const [error, setError] = useState(null);
  const reply = (word) => () => send("PUT", `/permissions/${place(question.id)}/reply`, { reply: word });
  const deed = DEEDS[question.title] || `use “${inert(question.title)}”`;
  return html`<div class="note busy ask" role="group" aria-label="OpenCode asks to ${deed}">
    <div class="grow"><b>OpenCode asks to ${deed}</b>
      ${question.detail && html`<pre class="mono">${question.detail.split("\n").map(inert).join("\n")}</pre>`}
      <${From} question=${question} session=${session} /><${Failure} error=${error} /></div>
    <div class="row wrap">
      <${Act} act=${reply("reject")} doing="Rejecting…" fail=${setError}>Reject<//>
      <${Act} act=${reply("always")} doing="Allowing…" fail=${setError}
        ask=${{ title: `Always allow OpenCode to ${deed}?`, text: "It will not ask again for the like until OpenCode is restarted.", yes: "Always allow" }}>Always<//>
      <${Act} act=${reply("once")} doing="Allowing…" kind="primary" fail=${setError}>Allow once<//>
    </div></div>`;
}

function Asked({ question, session }) {
  const [error, setError] = useState(null);
  const [chosen, setChosen] = useState(question.parts.map(() => []));
  const [typed, setTyped] = useState(question.parts.map(() => ""));
  const answers = question.parts.map((_, at) => [...chosen[at], ...(typed[at].trim() ? [typed[at].trim()] : [])]);
  const put = (list) => () => send("PUT", `/questions/${place(question.id)}/answers`, { answers: list });
  const choose = (at, label, many) => setChosen(chosen.map((now, part) => {
    if (part !== at) return now;
    if (!many) return [label];
    return now.includes(label) ? now.filter((one) => one !== label) : [...now, label];
  }));
  const type = (at, text, many) => {
    setTyped(typed.map((now, part) => (part === at ? text : now)));
    if (!many && text) setChosen(chosen.map((now, part) => (part === at ? [] : now)));
  };
  const ready = answers.every((one) => one.length);
  return html`<div class="note busy ask tall" role="group" aria-label="OpenCode asks"><div class="grow">
    <b>OpenCode asks</b><${From} question=${question} session=${session} />
    ${question.parts.map((part, at) => html`<fieldset key=${at}><legend>${inert(part.text)}</legend>
      ${part.options.map(([label, meaning]) => html`<label class="option">
        <input type=${part.multiple ? "checkbox" : "radio"} name="${question.id}-${at}"
          checked=${chosen[at].includes(label)} onChange=${() => choose(at, label, part.multiple)} />
        <span>${inert(label)}${meaning && html`<span class="dim small">${inert(meaning)}</span>`}</span></label>`)}
      ${part.custom && html`<input class="wide" aria-label="Your own answer to: ${inert(part.text)}"
        placeholder="Your own answer" value=${typed[at]} onInput=${(event) => type(at, event.target.value, part.multiple)} />`}
    </fieldset>`)}<${Failure} error=${error} /></div>
    <div class="row wrap">
      <${Act} act=${put([])} doing="Declining…" fail=${setError}>Decline<//>
      <${Act} act=${put(answers)} doing="Sending…" kind="primary" fail=${setError} idle=${!ready}>Answer<//>
    </div></div>`;
}
