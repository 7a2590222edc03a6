// The shell: the way in, the sections, the line to the program, the shortcuts.

import { html, render, useEffect, useLayoutEffect, useState } from "/vendor/preact-htm.js";
import { enter, token } from "/api.js";
import { start, useLive, useNow } from "/live.js";
import { Failure, Overlays, Why, present, say, toast } from "/parts.js";
import { Overview } from "/overview.js";
import { JOB_STATES, hasEnded, jobTitle, span } from "/words.js";

const PAGES = [
  { path: "/", name: "Overview", key: "o", load: async () => Overview },
  { path: "/tunnels", name: "Tunnels", key: "t", load: async () => (await import("/tunnels.js")).Tunnels },
  { path: "/access", name: "Access", key: "a", load: async () => (await import("/access.js")).Access },
  { path: "/logs", name: "Logs", key: "l", load: async () => (await import("/logs.js")).Logs },
  { path: "/doctor", name: "Doctor", key: "d", load: async () => (await import("/doctor.js")).Doctor },
  { path: "/settings", name: "Settings", key: "s", load: async () => (await import("/settings.js")).SettingsPage },
  { path: "/welcome", name: "Welcome", hidden: true, load: async () => (await import("/welcome.js")).Welcome },
];

const here = () => {
  const [path, search = ""] = (location.hash.slice(1) || "/").split("?");
  return { page: PAGES.find((page) => page.path === path) || PAGES[0], search };
};

const UNREAD = { reason: {
  what: "This page could not be read from Nexus Tray.", meaning: "", cure: "It is tried again by itself.",
} };

/** The section in the address, and its component once it is read. */
function useRoute() {
  const [route, set] = useState({ ...here(), Body: here().page === PAGES[0] ? Overview : null });
  useEffect(() => {
    const go = async () => {
      const now = here();
      try {
        const Body = await now.page.load();
        if (here().page === now.page) set({ ...now, Body, error: null });
      } catch (error) {
        if (here().page !== now.page) return;
        console.warn("this page could not be read", error);
        set({ ...now, Body: null, error: UNREAD });
        setTimeout(() => here().page === now.page && go(), 2000);
      }
    };
    go();
    addEventListener("hashchange", go);
    return () => removeEventListener("hashchange", go);
  }, []);
  return route;
}

export const shortcutsOn = () => localStorage.getItem("nexus-shortcuts") !== "off";

const typing = (element) => element.closest("input, textarea, select, dialog, [contenteditable]");

function useShortcuts() {
  useEffect(() => {
    const press = (event) => {
      if (!shortcutsOn() || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target)) return;
      const page = PAGES.find((one) => one.key === event.key);
      if (page) location.hash = page.path;
      else if (event.key === "?") showShortcuts();
      else if (event.key === "/") document.querySelector("input[type=search]")?.focus();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

const showShortcuts = () => present("Keyboard shortcuts", html`<dl class="keys">
  ${PAGES.filter((page) => page.key).map((page) => html`<dt><kbd>${page.key}</kbd></dt><dd>${page.name}</dd>`)}
  <dt><kbd>/</kbd></dt><dd>Search the logs</dd>
  <dt><kbd>f</kbd></dt><dd>Logs: follow, or stop</dd>
  <dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>Logs: the line before, the next one</dd>
  <dt><kbd>Home</kbd> <kbd>End</kbd></dt><dd>Logs: the oldest line, the newest</dd>
  <dt><kbd>Enter</kbd></dt><dd>Logs: the whole line</dd>
  <dt><kbd>c</kbd></dt><dd>Logs: copy the chosen line</dd>
  <dt><kbd>?</kbd></dt><dd>This list</dd></dl>
  <p class="dim">They can be turned off in Settings, under “This browser”.</p>`);

const Mark = () => html`<svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
  <circle cx="4" cy="10" r="3" fill="currentColor" /><circle class="lit" cx="16" cy="10" r="3" />
  <path d="M7 10h6" stroke="currentColor" stroke-width="2" /></svg>`;

function Shell() {
  const live = useLive();
  const { page, search, Body, error } = useRoute();
  useShortcuts();
  useVoice(live);
  // With the paint, not after it: a key pressed at once must not lose the focus it just got.
  useLayoutEffect(() => {
    document.title = `${page.name} · Nexus Tray`;
    if (page !== PAGES[0] || document.activeElement !== document.body) {
      document.querySelector("main")?.focus({ preventScroll: true });
    }
  }, [page]);
  const { snapshot } = live;
  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>Skip to content</a>
    <div class="app"><nav aria-label="Sections">
      <div class="brand state-${snapshot ? snapshot.state : "unknown"}"><${Mark} />Nexus Tray</div>
      ${PAGES.filter((one) => !one.hidden).map((one) => html`<a href="#${one.path}" aria-current=${one === page ? "page" : null}>
        ${one.name}${one.path === "/" && asked(snapshot) > 0
          && html`<span class="pill" aria-label="${asked(snapshot)} open questions">${asked(snapshot)}</span>`}</a>`)}
      <div class="foot">${snapshot && snapshot.version}
        <button type="button" class="plain" onClick=${showShortcuts} aria-label="Keyboard shortcuts">?</button></div>
    </nav>
    <main id="main" tabindex="-1"><${Line} live=${live} />
      ${page.path !== "/tunnels" && html`<${JobLine} jobs=${snapshot?.jobs || []} />`}
      <${Failure} error=${error} />
      ${snapshot && Body && html`<${Body} key=${page.path} live=${live} search=${search} />`}
      ${!snapshot && live.line === "opening" && html`<p class="dim">Asking Nexus Tray…</p>`}
    </main></div>`;
}

const asked = (snapshot) => snapshot?.activity?.questions.length || 0;

/** What takes long and goes on or has failed, on every page but its own. */
function JobLine({ jobs }) {
  const open = jobs.filter((job) => !hasEnded(job));
  return open.length > 0 && html`<p class="small jobs-line">${open.map((job, at) => html`${at > 0 && " · "}<a href="#/tunnels">
    ${jobTitle(job)}: ${JOB_STATES[job.state][1].toLowerCase()}</a>`)}</p>`;
}

/** Say a new headline, but not each of several that follow one another at once; and what the
 *  page has recovered from. */
function useVoice({ snapshot, back }) {
  useEffect(() => { if (back) toast(back.text); }, [back]);
  const headline = snapshot?.headline;
  const questions = asked(snapshot);
  useEffect(() => {
    if (!headline) return undefined;
    const timer = setTimeout(() => say(headline), 1500);
    return () => clearTimeout(timer);
  }, [headline]);
  useEffect(() => {
    if (questions) say(questions === 1 ? "OpenCode asks a question." : `OpenCode asks ${questions} questions.`);
  }, [questions]);
}

/** True once `on` has lasted so long: what mends itself at once is not worth a word. */
function useLasting(on, ms) {
  const [lasts, set] = useState(false);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setTimeout(() => set(true), ms);
    return () => {
      clearTimeout(timer);
      set(false);
    };
  }, [on]);
  return on && lasts;
}

/** What is wrong with the line to the program, if anything. */
function Line({ live }) {
  const lost = useLasting(live.line === "lost", 1500);
  const now = useNow(lost);
  useEffect(() => { if (lost) say("The line to Nexus Tray is lost. The page tries again by itself."); }, [lost]);
  if (live.line === "ended") {
    return html`<div class="note down" role="alert"><div><b>This page’s access has ended.</b>
      <div>Nexus Tray was started anew since it was opened, all access was ended, or too many pages were opened. ${live.snapshot && "What is shown is from before."}</div>
      <div>Open the dashboard again: from the tray, or with <code>nexus-tray dashboard</code>.</div></div></div>`;
  }
  if (!lost) return null;
  return html`<div class="note busy"><div><b>Nexus Tray does not answer${live.snapshot && " just now"}.</b>
    <div>${live.snapshot ? `What is shown is ${span(now - live.lostAt)} old. ` : ""}The page tries again by itself, and goes on where it was.
    If Nexus Tray was ended and started anew, open the dashboard again: from the tray, or with <code>nexus-tray dashboard</code>.</div></div></div>`;
}

const Locked = ({ reason }) => html`<main class="alone"><h1>This is Nexus Tray’s dashboard</h1>
  ${reason ? html`<${Why} reason=${reason} />`
    : html`<p>It opens by a one-time link, so that no other page or program on this machine can use it.</p>
      <p>Click the tray icon, or run <code>nexus-tray dashboard</code>.</p>`}</main>`;

async function begin() {
  const root = document.getElementById("app");
  const first = root.firstChild; // the frame that stands there until there is more to show
  let reason = null;
  try {
    await enter();
  } catch (error) {
    reason = error.reason;
  }
  first.remove();
  if (!token()) {
    render(html`<${Locked} reason=${reason} />`, root);
    return;
  }
  start();
  render(html`<${Shell} /><${Overlays} />`, root);
}

// A link opened into a tab that is here already only changes what is behind #.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#ticket=")) location.reload();
});

begin();
