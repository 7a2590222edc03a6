// What takes long, step by step: signing in at Cloudflare, making, changing or deleting a
// tunnel. Each can be ended; a question waits for an answer; what failed can be tried again.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, Qr, State, Why, present, say } from "/parts.js";
import { answerJob, cancelJob, dismissJob, retryJob } from "/tunnel-calls.js";
import { JOB_STATES, capital, hasEnded, inert, isOver, jobTitle, span } from "/words.js";

const STEPS = {
  todo: ["off", "to do"], running: ["busy", "under way"], done: ["up", "done"],
  failed: ["down", "failed"], skipped: ["unknown", "not needed"],
};

/** All jobs of the page. `wanted`: the job that was just begun, which gets the focus. */
export function Jobs({ jobs, wanted }) {
  const title = useRef(null);
  if (!jobs.length) return null;
  return html`<section class="stack" aria-labelledby="jobs"><h2 id="jobs" ref=${title} tabindex="-1">${jobs.every(hasEnded) ? "Finished" : "Under way"}</h2>
    ${jobs.map((one) => html`<${Job} key=${one.id} job=${one} wanted=${one.id === wanted} level="h3" />`)}</section>`;
}

export function Job({ job, wanted, level = "h3" }) {
  const [error, setError] = useState(null);
  const head = useRef(null);
  const [kind, word] = JOB_STATES[job.state] || ["unknown", inert(job.state)];
  const name = jobTitle(job);
  useEffect(() => { if (wanted) head.current?.focus(); }, [wanted]);
  useVoice(job, name);
  const keep = () => head.current?.focus(); // the button that was pressed goes away
  const after = (deed) => async () => {
    await deed();
    keep();
  };
  const gone = async () => {
    await dismissJob(job.id);
    document.querySelector("main").focus({ preventScroll: true });
  };
  const id = `job-${job.id}`;
  return html`<section class="sheet card job" aria-labelledby=${id}>
    <div class="row between wrap"><${level} id=${id} ref=${head} tabindex="-1">${name}<//><${State} kind=${kind} word=${word} /></div>
    ${job.question && html`<${Asked} job=${job} fail=${setError} keep=${keep} />`}
    ${job.link && !isOver(job) && html`<${Link} job=${job} />`}
    ${job.reason && html`<div class="note ${job.state === "failed" ? "down" : "busy"}"><${Why} reason=${job.reason} /></div>`}
    ${job.by_hand.length > 0 && html`<${ByHand} steps=${job.by_hand} left=${isOver(job)} />`}
    ${job.steps.length > 0 && html`<ol class="jobsteps">${job.steps.map((step) => html`<${Step} step=${step} />`)}</ol>`}
    <${Failure} error=${error} />
    <div class="row wrap buttons">
      ${!isOver(job) && html`<${Act} key="cancel" act=${after(() => cancelJob(job.id))} doing="Ending…" fail=${setError}
        name="Cancel: ${name}">Cancel<//>`}
      ${job.state === "failed" && job.kind !== "unread" && html`<${Act} key="retry" kind="primary" act=${after(() => retryJob(job.id))} doing="Trying…"
          fail=${setError} name="Try again: ${name}">Try again<//>
        <${Act} key="give-up" act=${after(() => cancelJob(job.id))} doing="Ending…" fail=${setError} name="Give up: ${name}">Give up<//>`}
      ${isOver(job) && html`<${Act} key="dismiss" act=${gone} doing="Removing…" fail=${setError}
        name="Dismiss: ${name}">Dismiss<//>`}
    </div>
    ${job.state === "failed" && job.kind !== "unread" && html`<p class="dim small">Trying again goes on where it failed. Giving up takes back what was made; dismissing leaves it as it is.</p>`}</section>`;
}

/** Says where it is, but not again what was said. */
function useVoice(job, name) {
  const step = job.steps.find((one) => one.state === "running")?.title || "";
  const now = job.question ? job.question.what : isOver(job) || !step ? JOB_STATES[job.state]?.[1] : step;
  const first = useRef(true);
  useEffect(() => {
    if (!first.current && now) say(`${name}: ${inert(now)}`);
    first.current = false;
  }, [now]);
}

const Step = ({ step }) => {
  const [kind, word] = STEPS[step.state];
  return html`<li class="jobstep ${step.state}"><span class="state ${kind}"><i aria-hidden="true"></i><span class="unseen">${word}: </span></span>
    <div>${inert(capital(step.title))}${step.text && html`<div class="dim small">${inert(step.text)}</div>`}</div></li>`;
};

/** What has to be done by hand, in order; `left`: when the rest is over. */
export const ByHand = ({ steps, left }) => html`<div class="byhand"><p><b>${left ? "Left to do by hand" : "To do by hand"}</b></p>
  <ol>${steps.map((text) => html`<li>${inert(text)}</li>`)}</ol>
  ${!left && html`<p class="dim small">The page notices by itself when it is done.</p>`}</div>`;

/** What "yes" and "no" do. A "no" ends the job, and takes back what it made. */
function answers({ kind, question }) {
  if (!/record|dns|conflict/.test(question.code)) return ["Yes, go on", "No, leave it"];
  return ["Overwrite it", kind === "create" ? "Leave it, and make no tunnel" : "Leave it as it is"];
}

function Asked({ job, fail, keep }) {
  const { question } = job;
  const [yes, no] = answers(job);
  const answer = (value) => async () => {
    await answerJob(job.id, value);
    keep();
  };
  return html`<div class="note busy"><div class="grow"><${Why} reason=${question} /></div>
    <div class="row wrap"><${Act} act=${answer(true)} doing="Answering…" kind="danger" fail=${fail}>${yes}<//>
      <${Act} act=${answer(false)} doing="Answering…" fail=${fail}>${no}<//></div></div>`;
}

/** A page of Cloudflare's to open, here or on another device, while it holds. */
function Link({ job }) {
  const now = useNow(job.expires_at != null);
  const left = job.expires_at == null ? null : job.expires_at - now;
  if (left !== null && left <= 0) {
    return html`<p>The link is no longer good. Cancel, and begin again.</p>`;
  }
  const qr = () => present("Sign in at Cloudflare", html`<div class="center"><${Qr} text=${job.link} />
    <p class="dim">Any device will do: what it gets comes here by itself.</p></div>`);
  return html`<div><div class="row wrap"><a class="btn primary" href=${job.link} target="_blank" rel="noreferrer">Open Cloudflare’s page</a>
      <${Copy} text=${job.link} name="Copy the link to Cloudflare">Copy the link<//>
      <button type="button" aria-label="QR code of the link to Cloudflare" onClick=${qr}>QR code</button></div>
    <p class="dim small">Sign in there and choose the domain. This goes on by itself then.${
      left !== null ? ` The link holds for ${span(left)} more.` : ""}</p></div>`;
}
