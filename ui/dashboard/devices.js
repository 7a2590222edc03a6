// Who is signed in: each device by name, how and from where it came, what it moved; its end.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { from } from "/access-trail.js";
import { useNow } from "/live.js";
import { Act, Failure, toast, useAction } from "/parts.js";
import { When } from "/when.js";
import { bytes, inert } from "/words.js";

const DOORS = { public: "from outside", local: "on this computer", network: "from the local network" };
const HOW = {
  password: "by password", code: "by password and code", recovery: "by password and recovery code",
  passkey: "by a passkey", pairing: "by pairing", ticket: "by a one-time link from this computer",
};

export function Devices({ devices, read }) {
  const now = useNow();
  const title = useRef(null);
  const signedOut = async (words) => {
    title.current.focus(); // the button that was pressed goes away
    toast(words);
    await read();
  };
  const everybody = async () => {
    await send("DELETE", "/sessions");
    await signedOut("Everybody is signed out.");
  };
  return html`<section class="sheet" aria-labelledby="devices"><div class="row between wrap">
      <h2 id="devices" ref=${title} tabindex="-1">Signed-in devices</h2>
      ${devices.length > 0 && html`<${Act} kind="danger" doing="Signing out…" act=${everybody} ask=${{
        title: "Sign out everybody?", yes: "Sign out everybody", danger: true,
        text: "What is open on those devices ends at once. Paired phones have to be paired again; whoever knows the password can sign in again.",
      }}>Sign out everybody<//>`}</div>
    ${!devices.length && html`<p class="dim">None. A device appears here when a phone is paired, when somebody signs in with the password, or opens OpenCode from this computer.</p>`}
    <ul class="list">${devices.map((one) => html`<${Row} key=${one.id} device=${one} now=${now} signedOut=${signedOut} read=${read} />`)}</ul></section>`;
}

function Row({ device, now, signedOut, read }) {
  const [error, setError] = useState(null);
  const [naming, setNaming] = useState(false);
  const name = inert(device.name) || "A browser";
  const place = `${device.country ? `${inert(device.country)} · ` : ""}${from(device.address)}`;
  const out = async () => {
    await send("DELETE", `/sessions/${encodeURIComponent(device.id)}`);
    await signedOut(`${name} is signed out.`);
  };
  return html`<li><div class="grow">${naming
      ? html`<${Rename} device=${device} read=${read} close=${() => setNaming(false)} />`
      : html`<b>${name}</b>${" "}<span class="pill">${DOORS[device.door] || inert(device.door)}</span>`}
      <div class="dim small">${HOW[device.how] || inert(device.how)} · <span class="mono">${place}</span>${
        device.host && html` · at <span class="mono">${inert(device.host)}</span>`}</div>
      <div class="dim small">Seen <${When} at=${device.seen_at} now=${now} /> · signed in <${When} at=${device.signed_in_at} now=${now} />${
        " "}· ends <${When} at=${device.expires_at} now=${now} ahead /> · ${bytes(device.received)} in, ${bytes(device.sent)} out</div>
      <${Failure} error=${error} /></div>
    ${!naming && html`<button type="button" onClick=${() => setNaming(true)} aria-label="Rename ${name}">Rename</button>`}
    <${Act} kind="danger" act=${out} doing="Signing out…" fail=${setError} name="Sign out ${name}, ${from(device.address)}">Sign out<//></li>`;
}

function Rename({ device, read, close }) {
  const [text, setText] = useState(device.name);
  const field = useRef(null);
  useEffect(() => {
    field.current.focus();
    field.current.select();
  }, []);
  const [busy, error, run] = useAction(async () => {
    await send("PUT", `/sessions/${encodeURIComponent(device.id)}/name`, { name: text.trim() });
    toast(`It is called ${inert(text.trim())} now.`);
    close();
    await read();
  });
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) run();
  };
  return html`<form class="row wrap" onSubmit=${submit}><input aria-label="Name of the device" maxlength="64" autocomplete="off" value=${text}
      ref=${field}
      onInput=${(event) => setText(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && close()} />
    <button class="primary" aria-disabled=${text.trim() && !busy ? null : "true"}>Save</button>
    <button type="button" onClick=${close}>Cancel</button><${Failure} error=${error} /></form>`;
}
