// Pairing a phone: a link for one scan and ten minutes, and what became of it.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Copy, Qr, State, say, toast } from "/parts.js";
import { StepUp } from "/step-up.js";
import { clock, inert, span } from "/words.js";

/** The addresses by which a phone can come: of tunnels that run, and of the local network's door. */
export function addresses({ snapshot }, network) {
  const found = snapshot.services.flatMap(({ facts }) => [
    facts?.address, ...(facts?.hostnames || []).map((name) => `https://${name}`)]);
  return [...new Set([snapshot.address, ...found, network?.url].filter(Boolean))];
}

export function Pairing({ live, access, open, read, network }) {
  const [asks, setAsks] = useState(open);
  const [made, setMade] = useState(null);
  const title = useRef(null);
  const ways = addresses(live, network);
  const close = () => {
    setAsks(false);
    setMade(null);
    title.current?.focus();
  };
  const cancel = async () => {
    await send("DELETE", "/pairings");
    close();
    toast("The link is void.");
    await read();
  };
  const forgotten = !made && access.pairings.length;
  return html`<section class="sheet" aria-labelledby="pairing"><div class="row between wrap">
      <div class="grow broad"><h2 id="pairing" ref=${title} tabindex="-1">Pair a phone</h2>
        <p class="dim">Scan a code, press one button, and the phone stays signed in for 30 days, without typing a password there.</p></div>
      ${!asks && !made && html`<button type="button" class="primary" onClick=${() => setAsks(true)}>Pair a phone…</button>`}</div>
    ${asks && !made && html`<${Ask} ways=${ways} done=${(link) => setMade({ ...link, devices: access.devices.map(({ id }) => id) })}
      read=${read} close=${close} />`}
    ${made && html`<${Made} made=${made} access=${access} cancel=${cancel} close=${close} />`}
    ${forgotten > 0 && html`<div class="row between wrap"><p class="grow">${forgotten === 1 ? "One link was" : `${forgotten} links were`} made and not used yet. Who has one can pair.</p>
      <${Act} doing="Voiding…" act=${cancel}>Void ${forgotten === 1 ? "it" : "them"}<//></div>`}</section>`;
}

function Ask({ ways, done, read, close }) {
  const [name, setName] = useState("");
  const [address, setAddress] = useState(ways[0] || "");
  const make = async (current) => {
    const { value } = await send("POST", "/pairings", { current, address, name: name.trim() });
    done({ link: value, until: Date.now() / 1000 + 600 });
    await read();
  };
  return html`<${StepUp} id="pairing-password" yes="Make the link" doing="Making…" act=${make} cancel=${close}>
    <div><label for="pairing-name">Name of the phone <span class="dim">(may be left out)</span></label>
      <input id="pairing-name" maxlength="64" autocomplete="off" value=${name} onInput=${(event) => setName(event.target.value)} /></div>
    ${ways.length > 1 && html`<div><label for="pairing-address">By which address</label>
      <select id="pairing-address" value=${address} onChange=${(event) => setAddress(event.target.value)}>
        ${ways.map((one) => html`<option value=${one} selected=${one === address}>${inert(one)}</option>`)}</select></div>`}<//>`;
}

/** The link while it is good, and what became of it: nothing here reads it back. */
function Made({ made, access, cancel, close }) {
  const now = useNow();
  const host = new URL(made.link).host;
  const left = made.until - now;
  const come = access.devices.find(({ id, how }) => how === "pairing" && !made.devices.includes(id));
  const listed = useRef(false);
  listed.current ||= access.pairings.some((one) => one.host === host);
  const gone = listed.current && !access.pairings.some((one) => one.host === host);
  useEffect(() => { if (come) say(`${inert(come.name)} is paired.`); }, [come?.id]);
  if (come) {
    return html`<div class="row between wrap" role="status"><${State} kind="up" word="${inert(come.name)} is paired" />
      <button type="button" onClick=${close}>Done</button></div>`;
  }
  if (left <= 0 || gone) {
    return html`<div class="row between wrap" role="status"><${State} kind="off" word="The link is over" />
      <button type="button" onClick=${close}>Close</button></div>`;
  }
  return html`<div class="pairing"><${Qr} text=${made.link} label="QR code of the pairing link" /><div class="stack">
      <div><b>Scan it with your phone</b>
        <p class="dim">It opens a page at <span class="mono wrap">${inert(host)}</span> that names this computer. Press the button there.</p></div>
      <p>Works once. <span class="dim">Good for <time datetime=${new Date(made.until * 1000).toISOString()}
        title=${clock(made.until, false)}>${span(left)}</time> more.</span></p>
      <div class="row wrap"><${Copy} text=${made.link} name="Copy link for pairing">Copy link<//>
        <${Act} kind="danger" doing="Voiding…" act=${cancel}>Cancel<//></div></div></div>`;
}
