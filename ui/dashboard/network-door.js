// The door for the local network: whether it is open and where, its certificate, and how
// devices come to trust it. Off until somebody switches it on.

import { html, useEffect, useState } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { useNow } from "/live.js";
import { Act, Copy, Failure, State, Why, confirm, presentQr, toast, useAction } from "/parts.js";
import { nameOf, sections } from "/schema.js";
import { Field } from "/settings.js";
import { day, inert, span } from "/words.js";

const LOOK_MS = 5000; // a laptop that changes networks shows within this

async function readDoor(signal) {
  const [{ network }, { settings, etag }, { components }] = await Promise.all([
    get("/tunnels", signal), get("/config", signal), get("/openapi.json", signal)]);
  return { report: network, settings: settings.network, etag, plan: sections(components.schemas).find(({ key }) => key === "network") };
}

export function NetworkDoor({ live }) {
  const [door, error, read] = useFetched(readDoor, [live.boot]);
  const on = door?.settings.enabled || false;
  useEffect(() => {
    const timer = on && setInterval(() => document.hidden || read(), LOOK_MS);
    return () => clearInterval(timer);
  }, [on]);
  /** Save one change; `before` is what takes it back. */
  const save = async (change, words, before) => {
    try {
      await send("PATCH", "/config", { network: change }, { "If-Match": `"${door.etag}"` });
      toast(words, before && (async () => {
        await send("PATCH", "/config", { network: before });
        await read();
      }));
    } finally {
      await read();
    }
  };
  return html`<section class="sheet stack" aria-labelledby="network-door">
    <div class="row between wrap"><div class="grow broad"><h2 id="network-door">The local network</h2>
      <p class="dim">A door for devices in the same network, without Cloudflare: over TLS, with the same password.</p></div>
      ${door && html`<${Standing} report=${door.report} on=${on} />`}</div>
    ${error && !door && html`<p class="dim">How it stands cannot be read just now.</p>`}
    ${door && html`<${Doing} door=${door} save=${save} />`}</section>`;
}

const Standing = ({ report, on }) => (!on ? html`<${State} kind="off" word="Off" />`
  : report.url ? html`<${State} kind=${report.reason ? "busy" : "up"} word="Open" />`
    : html`<${State} kind="down" word="Shut" />`);

function Doing({ door, save }) {
  const { report, settings, plan } = door;
  const field = (key) => html`<${Field} key=${key} id="network-${key}" setting=${plan.settings.find((one) => one.key === key)}
    value=${settings[key]} save=${(value) => save({ [key]: value }, `Saved: ${nameOf(key).toLowerCase()}.`, { [key]: settings[key] })} />`;
  return html`<p class="note busy" id="network-warning"><b>Whoever is in the same network can reach the sign-in page.</b> Open it in networks that
      you trust, with a password that nobody guesses. This computer’s firewall may block it: allow TCP port ${settings.port} there.</p>
    ${report.reason && html`<div role="status"><${Why} reason=${report.reason} /></div>`}
    ${report.url && html`<p class="row wrap"><span>Visit <a class="mono wrap" href=${report.url} target="_blank" rel="noopener noreferrer">${inert(report.url)}</a></span>
      <${Copy} text=${report.url} name="Copy the address in the local network" />
      <button type="button" onClick=${() => presentQr(report.url)}>QR code</button></p>`}
    <div><${Switch} settings=${settings} save=${save} /><${Address} report=${report} settings=${settings} save=${save} />
      ${field("port")}${field("names")}
      <details><summary>A certificate of your own</summary><div>${field("certificate")}${field("key")}</div></details></div>
    ${report.fingerprint && html`<${Certificate} report=${report} />`}
    ${report.authority && html`<${Trust} report=${report} />`}`;
}

/** Opening is asked about; shutting is not. */
function Switch({ settings, save }) {
  const [busy, error, run] = useAction((enabled) =>
    save({ enabled }, enabled ? "The door for the local network is on." : "The door for the local network is shut."));
  const [, again] = useState(0);
  const turn = async (event) => {
    const on = event.target.checked;
    if (!on || await confirm({ title: "Open a door for the local network?", yes: "Open it", danger: true,
      text: "Every device in that network can then reach the sign-in page of this computer; only the password keeps it out." })) await run(on);
    again((number) => number + 1); // the switch shows what holds
  };
  return html`<div class="setting"><div><label for="network-enabled">Let the local network in</label>
      <div class="dim small" id="network-enabled-about">Off unless you switch it on. It opens on the one address that you choose.</div></div>
    <div class="control"><input id="network-enabled" type="checkbox" class="switch" checked=${settings.enabled} disabled=${busy}
      aria-describedby="network-enabled-about network-warning" onChange=${turn} /></div><${Failure} error=${error} /></div>`;
}

function Address({ report, settings, save }) {
  const [busy, error, run] = useAction((address) => save({ address }, "Saved: address.", { address: settings.address }));
  const known = report.addresses.map(([name, address]) => [address, `${inert(address)} (${inert(name)})`]);
  if (!settings.address) known.unshift(["", "None chosen"]);
  else if (!known.some(([address]) => address === settings.address)) known.unshift([settings.address, `${inert(settings.address)} (not here now)`]);
  return html`<div class="setting"><div><label for="network-address">Address</label>
      <div class="dim small" id="network-address-about">This computer’s address on which the door opens, and no other.</div></div>
    <div class="control"><select id="network-address" value=${settings.address} disabled=${busy} aria-describedby="network-address-about"
      onChange=${(event) => run(event.target.value)}>${known.map(([address, words]) =>
        html`<option value=${address} selected=${address === settings.address}>${words}</option>`)}</select></div><${Failure} error=${error} /></div>`;
}

function Certificate({ report }) {
  const now = useNow();
  const end = report.not_after_at;
  return html`<div><div class="row between wrap"><b>${report.authority ? "Fingerprint of the authority (SHA-256)" : "Fingerprint of the certificate (SHA-256)"}</b>
      <${Copy} text=${report.fingerprint} name="Copy the fingerprint" /></div>
    <p class="mono small wrap">${inert(report.fingerprint)}</p>
    ${end != null && html`<p class="dim small">The door’s certificate ${end < now ? `ended ${day(end)}` : `ends ${day(end)}, in ${span(end - now)}`}.${" "}
      ${report.authority && "It is renewed by itself 30 days before."}</p>`}</div>`;
}

function Trust({ report }) {
  const load = async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([report.authority], { type: "application/x-x509-ca-cert" }));
    link.download = "nexus-tray-authority.crt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    toast("The authority’s certificate is downloaded.");
  };
  return html`<div><div class="row between wrap"><b>How devices come to trust it</b>
      <${Act} act=${load}>Download the authority’s certificate<//></div>
    <p class="dim small">Once on each device. Compare the fingerprint that it shows with the one here. The authority’s key never leaves
      this computer; whoever has it could feign any site to these devices, so remove the certificate there when you no longer use this door.</p>
    ${report.trust.map(([system, how]) => html`<details key=${system}><summary>${inert(system)}</summary><p class="small">${inert(how)}</p></details>`)}</div>`;
}
