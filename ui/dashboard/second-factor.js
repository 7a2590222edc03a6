// The second factor: one-time codes of an authenticator, and the recovery codes beside it.

import { html, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { Act, Copy, Failure, Qr, State, toast, useAction } from "/parts.js";
import { StepUp } from "/step-up.js";
import { inert } from "/words.js";

const FEW = 3;

export function SecondFactor({ access, read }) {
  const [doing, setDoing] = useState(null); // "set", "remove", "renew", { uri } or { codes }
  const close = () => setDoing(null);
  const on = access.second_factor;
  const codes = (value) => setDoing({ codes: value.split("\n").filter(Boolean) });
  const step = { set: "Turn on…", remove: "Turn off…", renew: "New recovery codes…" };
  return html`<section class="sheet stack" aria-labelledby="second-factor"><div class="row between wrap">
      <div class="grow broad"><h2 id="second-factor">Second factor</h2>
        <p class="dim">Signing in asks for a code of an authenticator app too, so that the password alone lets nobody in. Paired phones and devices that are signed in stay so.</p></div>
      <${State} kind=${on ? "up" : "off"} word=${on ? "On" : "Off"} /></div>
    ${on && html`<p class=${access.recovery_codes < FEW ? "note busy" : "dim"}>${left(access.recovery_codes)}</p>`}
    ${!access.password && html`<p class="dim">Set a password first.</p>`}
    ${access.password && !doing && html`<div class="row wrap">${(on ? ["renew", "remove"] : ["set"]).map((what) =>
      html`<button type="button" class=${what === "set" ? "primary" : ""} onClick=${() => setDoing(what)}>${step[what]}</button>`)}</div>`}
    ${doing === "set" && html`<${StepUp} id="factor-password" yes="Go on" doing="Beginning…" cancel=${close}
      act=${async (current) => setDoing({ uri: (await send("POST", "/second-factor", { current })).value })} />`}
    ${doing === "remove" && html`<${StepUp} id="factor-password" yes="Turn off" doing="Turning off…" danger cancel=${close} act=${async (current) => {
      await send("POST", "/second-factor/removals", { current });
      toast("The second factor is off. The password alone signs in.");
      close();
      await read();
    }}><p>The password alone signs in then. The recovery codes are void.</p><//>`}
    ${doing === "renew" && html`<${StepUp} id="factor-password" yes="Make new ones" doing="Making…" cancel=${close} act=${async (current) => {
      codes((await send("POST", "/second-factor/recovery-codes", { current })).value);
      await read();
    }}><p>The recovery codes you have are void then.</p><//>`}
    ${doing?.uri && html`<${Confirm} uri=${doing.uri} close=${close} done=${async (value) => { codes(value); await read(); }} />`}
    ${doing?.codes && html`<${Codes} codes=${doing.codes} close=${close} />`}</section>`;
}

const left = (many) => `${many === 1 ? "1 recovery code is" : `${many} recovery codes are`} left.${
  many < FEW ? " Make new ones: without a code and without the authenticator, only this computer lets you in." : ""}`;

/** The secret, shown once, and a check that the authenticator has it. */
function Confirm({ uri, done, close }) {
  const [code, setCode] = useState("");
  const secret = new URL(uri).searchParams.get("secret") || "";
  const [busy, error, run] = useAction(async () => done((await send("PUT", "/second-factor/confirmation", { code })).value));
  const submit = (event) => {
    event.preventDefault();
    if (code.trim()) run();
  };
  return html`<div class="pairing"><${Qr} text=${uri} label="QR code for the authenticator" /><div class="stack">
      <div><b>Scan it with your authenticator app</b>
        <p class="dim">Or type this into it: <span class="mono wrap">${inert(secret.replace(/(.{4})(?=.)/g, "$1 "))}</span></p>
        <${Copy} text=${secret} name="Copy the secret for the authenticator">Copy<//></div>
      <form class="stack" onSubmit=${submit}><div><label for="factor-code">The code it shows now</label>
          <input id="factor-code" inputmode="numeric" autocomplete="one-time-code" maxlength="11" value=${code}
            onInput=${(event) => setCode(event.target.value)} /></div>
        <div class="row wrap"><button class="primary" aria-disabled=${code.trim() && !busy ? null : "true"}>${busy ? "Checking…" : "Turn on"}</button>
          <button type="button" onClick=${close}>Cancel</button></div>
        <${Failure} error=${error} /></form></div></div>`;
}

function Codes({ codes, close }) {
  const text = codes.join("\n");
  return html`<div class="stack"><p role="status"><b>The second factor is on. Keep these recovery codes somewhere safe.</b>
      Each signs in once, instead of a code of the authenticator. They are not shown again.</p>
    <ul class="codes mono">${codes.map((one) => html`<li>${inert(one)}</li>`)}</ul>
    <div class="row wrap"><${Copy} text=${text} name="Copy the recovery codes">Copy<//>
      <${Act} kind="primary" act=${close}>I have kept them<//></div></div>`;
}
