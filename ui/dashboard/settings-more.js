// What is set but not in the settings' file: provider keys, start at login, this browser's own
// choices; a copy of the settings, and the end of the program.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Act, Failure, confirm, toast, useAction } from "/parts.js";

const Group = ({ id, name, children }) =>
  html`<section class="sheet" aria-labelledby=${id}><h2 id=${id}>${name}</h2>${children}</section>`;

/** Provider keys go in and are never shown again, not even their names. */
export function Keys() {
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [locked, setLocked] = useState("");
  const path = `/secrets/${encodeURIComponent(name)}`;
  const remember = async (deed) => {
    try {
      return await deed();
    } catch (problem) {
      if (["secrets-no-keyring", "secrets-file-locked"].includes(problem.reason?.code)) setLocked(problem.reason.code);
      throw problem;
    }
  };
  const [busy, error, run] = useAction(() => remember(async () => {
    const { value } = await send("PUT", path, { secret });
    setSecret("");
    toast(`${name} is stored. ${value}`);
  }));
  const store = (event) => {
    event.preventDefault();
    if (name && secret) run();
  };
  const forget = async () => {
    if (!name || !await confirm({ title: `Forget ${name}?`, text: "OpenCode no longer gets it from its next start on.", yes: "Forget", danger: true })) return;
    await remember(() => send("DELETE", path));
    toast(`${name} is forgotten.`);
  };
  return html`<${Group} id="keys" name="Provider keys">
    <form class="setting" onSubmit=${store}><div><span class="label">Store a key</span>
        <div class="dim small">OpenCode gets it as an environment variable when it next starts, for example ANTHROPIC_API_KEY.
          It is kept in this computer’s keyring, and cannot be read back here.</div></div>
      <div class="control"><input class="grow mono" aria-label="Name of the environment variable" placeholder="NAME" spellcheck=${false}
          autocomplete="off" value=${name} onInput=${(event) => setName(event.target.value.trim())} />
        <input class="grow" type="password" aria-label="The key" placeholder="Key" autocomplete="off" value=${secret}
          onInput=${(event) => setSecret(event.target.value)} />
        <button aria-disabled=${name && secret && !busy ? null : "true"}>${busy ? "Storing…" : "Store"}</button>
        <${Act} act=${forget} doing="Forgetting…" idle=${!name} name="Forget the key of this name">Forget<//></div>
      <${Failure} error=${error} /></form>
    ${locked && html`<${Passphrase} isNew=${locked === "secrets-no-keyring"} done=${() => setLocked("")} />`}<//>`;
}

function Passphrase({ isNew, done }) {
  const [text, setText] = useState("");
  const [busy, error, run] = useAction(async () => {
    await send("POST", "/secrets/unlockings", { passphrase: text });
    setText("");
    toast("The keys are open until Nexus Tray ends. Now store the key.");
    done();
  });
  const open = (event) => {
    event.preventDefault();
    if (text) run();
  };
  return html`<form class="setting" onSubmit=${open}><div><label for="passphrase">Passphrase of the keys’ file</label>
      <div class="dim small">${isNew ? "There is no keyring here. The keys go into an encrypted file instead; choose its passphrase."
        : "The keys are in an encrypted file. It opens with the passphrase you chose."}</div></div>
    <div class="control"><input id="passphrase" class="grow" type="password" autocomplete="off" value=${text}
        onInput=${(event) => setText(event.target.value)} />
      <button class="primary" aria-disabled=${text && !busy ? null : "true"}>${busy ? "Opening…" : "Open"}</button></div>
    <${Failure} error=${error} /></form>`;
}

const AT_LOGIN = {
  on: "It does.", off: "It does not.",
  "on-signed-in": "It does, but the system ends it when you sign out.",
  stale: "It is set, but for a copy of the program that is no longer here. Turn it on again.",
};

export function AtLogin() {
  const [state, unknown, , setState] = useFetched(async (signal) => (await get("/autostart", signal)).value);
  const [busy, error, run] = useAction(async (enabled) => {
    setState((await send("PUT", "/autostart", { enabled })).value);
    toast(enabled ? "Nexus Tray starts at login." : "Nexus Tray no longer starts at login.");
  });
  return html`<${Group} id="login" name="Start">
    <div class="setting"><div><label for="at-login">Start at login</label>
        <div class="dim small" id="at-login-about">Nexus Tray starts by itself when you sign in to this computer. ${AT_LOGIN[state] || ""}</div></div>
      <div class="control"><input id="at-login" type="checkbox" class="switch" aria-describedby="at-login-about"
        checked=${state === "on" || state === "on-signed-in"} disabled=${busy || state === null}
        onChange=${(event) => run(event.target.checked)} /></div><${Failure} error=${error || unknown} /></div><//>`;
}

export function Browser() {
  const [theme, setTheme] = useState(localStorage.getItem("nexus-theme") || "system");
  const [keys, setKeys] = useState(localStorage.getItem("nexus-shortcuts") !== "off");
  const choose = (value) => {
    setTheme(value);
    if (value === "system") {
      localStorage.removeItem("nexus-theme");
      delete document.documentElement.dataset.theme;
    } else {
      localStorage.setItem("nexus-theme", value);
      document.documentElement.dataset.theme = value;
    }
  };
  return html`<${Group} id="browser" name="This browser">
    <div class="setting"><div><label for="theme">Theme</label><div class="dim small">Kept in this browser only.</div></div>
      <div class="control"><select id="theme" value=${theme} onChange=${(event) => choose(event.target.value)}>
        ${["system", "light", "dark"].map((one) => html`<option value=${one} selected=${one === theme}>
          ${{ system: "As the system", light: "Light", dark: "Dark" }[one]}</option>`)}</select></div></div>
    <div class="setting"><div><label for="shortcuts">Keyboard shortcuts</label><div class="dim small">Single keys; ? lists them.</div></div>
      <div class="control"><input id="shortcuts" type="checkbox" class="switch" checked=${keys} onChange=${(event) => {
        setKeys(event.target.checked);
        localStorage.setItem("nexus-shortcuts", event.target.checked ? "on" : "off");
      }} /></div></div><//>`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    console.warn(error);
    throw Object.assign(new Error("not JSON"), {
      reason: { what: "This file holds no settings.", meaning: "Nothing was changed.", cure: "Choose a file that “Save a copy” made." },
    });
  }
}

/** The settings as a file, and back. They hold no secret. */
export function Backup({ config, save }) {
  const file = useRef(null);
  const [, error, run] = useAction(async (chosen) => {
    const settings = parsed(await chosen.text());
    if (!await confirm({ title: "Restore these settings?", text: `Every setting in “${chosen.name}” replaces the present one.`, yes: "Restore" })) return;
    await save(settings, config.settings, "all settings");
  });
  const take = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${JSON.stringify(config.settings, null, 2)}\n`], { type: "application/json" }));
    link.download = "nexus-tray-settings.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };
  return html`<${Group} id="backup" name="Backup">
    <div class="setting"><div><span class="label">A copy of the settings</span>
        <div class="dim small">All settings of this page that are kept in a file. Password, keys and sign-ins are not in it.</div></div>
      <div class="control"><button type="button" onClick=${take}>Save a copy</button>
        <button type="button" onClick=${() => file.current.click()}>Restore…</button>
        <input type="file" hidden ref=${file} accept="application/json,.json"
          onChange=${(event) => { run(event.target.files[0]); event.target.value = ""; }} /></div>
      <${Failure} error=${error} /></div><//>`;
}

export function End() {
  return html`<${Group} id="end" name="End">
    <div class="setting"><div><span class="label">End Nexus Tray</span>
        <div class="dim small">Ends the tunnels, the gateway and OpenCode, in this order. The dashboard ends with it.</div></div>
      <div class="control"><${Act} kind="danger" doing="Ending…" act=${() => send("POST", "/shutdown")}
        ask=${{ title: "End Nexus Tray?", text: "What OpenCode is doing is cut off, and nothing is reachable from outside.", yes: "End", danger: true }}>End<//></div></div><//>`;
}
