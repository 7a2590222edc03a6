// Who can come in: devices, pairing, password and second factor, tokens, rules; the end of it
// all, and what happened at the doors. Read anew every few seconds while somebody looks.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { Rules } from "/access-rules.js";
import { Trail } from "/access-trail.js";
import { Tokens } from "/api-tokens.js";
import { Devices } from "/devices.js";
import { useFetched } from "/fetched.js";
import { Act, Failure, present } from "/parts.js";
import { Pairing } from "/pairing.js";
import { Passkeys } from "/passkeys.js";
import { Password } from "/password.js";
import { SecondFactor } from "/second-factor.js";
import { inert } from "/words.js";

const OFTEN_MS = 5000;

/** A number that grows every few seconds while the page is in sight and the line stands. */
function useTick(on) {
  const [tick, set] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const next = () => document.hidden || set((n) => n + 1);
    const timer = setInterval(next, OFTEN_MS);
    document.addEventListener("visibilitychange", next);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", next);
    };
  }, [on]);
  return tick;
}

export function Access({ live, search }) {
  const open = live.line === "open";
  const tick = useTick(open);
  const [access, error, read] = useFetched((signal) => get("/access", signal), [tick, open, live.boot]);
  const [tunnels] = useFetched((signal) => get("/tunnels", signal), [live.boot]);
  return html`<div class="stack"><header><h1>Access</h1>
      ${access && html`<p class="dim">${standing(access)}</p>`}</header>
    <${Failure} error=${open && error} />
    ${!access && !error && html`<p class="dim">Reading…</p>`}
    ${access && html`${access.password && html`<${Pairing} live=${live} access=${access} read=${read} network=${tunnels?.network}
        open=${search.includes("pair")} />`}
      <${Devices} devices=${access.devices} read=${read} />
      <${Password} known=${access.password} done=${read} />
      <${SecondFactor} access=${access} read=${read} />
      <${Passkeys} access=${access} read=${read} />
      <${Tokens} access=${access} read=${read} />
      <${Rules} live=${live} countries=${access.countries} />`}
    ${(access || error) && html`<${EndAll} live=${live} />`}
    ${access && html`<${Trail} tick=${tick} live=${live} />`}</div>`;
}

function standing({ password, second_factor, passkeys, devices }) {
  const many = devices.length;
  const who = many ? `${many} ${many === 1 ? "device is" : "devices are"} signed in.` : "No device is signed in.";
  if (!password) return `${who} No password is set, so there is no remote access.`;
  return `${who} Whoever knows the password${second_factor ? " and has the second factor" : ""}${passkeys.length ? ", or holds a passkey," : ""} can sign in.`;
}

/** Everything at once: what it ends, what stays, and the way back, before and after. */
function EndAll({ live }) {
  const tunnels = live.snapshot.services.filter((service) => service.kind === "tunnel").map((service) => service.name);
  const back = html`<p>To come back: open the dashboard anew from the tray or with <code>nexus-tray dashboard</code>,
    start the tunnel again${tunnels.length > 0 && html` (<code>nexus-tray start ${tunnels.join(" ")}</code>)`}, and pair or sign in on each device.</p>`;
  const body = html`<p>These end at once:</p><ul>
      <li>every tunnel: it stops, and stays stopped when Nexus Tray starts again</li>
      <li>every signed-in device and paired phone, and what is open on it</li>
      <li>every API token, passkey, pairing link and one-time link</li>
      <li>every open dashboard page, this one too</li></ul>
    <p>OpenCode goes on working on this computer. The password and the second factor stay as they are.</p>${back}`;
  const panic = async () => {
    const { value } = await send("POST", "/panic");
    present("All access is ended", html`<p>${inert(value || "Everything that was open from outside is closed.")}</p>${back}`);
  };
  return html`<section class="sheet" aria-labelledby="end-all"><h2 id="end-all">In an emergency</h2>
    <div class="row between wrap"><p class="grow broad">Somebody is in who should not be? This closes every way in at once. OpenCode goes on working here.</p>
      <${Act} kind="danger" doing="Ending…" act=${panic}
        ask=${{ title: "End all access now?", body, yes: "End all access", danger: true }}>End all access…<//></div></section>`;
}
