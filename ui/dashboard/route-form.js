// One route as it is made or changed: the host name, where it leads, and for a service that is
// not OpenCode how it is spoken to. Says before it is saved what that does.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { Copy, Failure, useAction } from "/parts.js";
import { inert } from "/words.js";

// The rules of nexus_tray/settings.py, said while it is typed; the program judges.
const LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const HOST = new RegExp(`^(?=.{4,253}$)(${LABEL}\\.)+${LABEL}$`);
const SERVICE = /^https?:\/\/([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?$/;
const PLAIN = { host_header: "", verify_tls: true, ca_file: "", connect_timeout: 5, answer_timeout: 0 };

/** A host name as it is meant: small letters, without an address's other parts, whole. */
export function meantHost(text, zones) {
  const host = text.trim().toLowerCase().replace(/^https?:\/\//, "").replace(/[/:].*$/, "").replace(/\.$/, "");
  const known = zones.filter((zone) => zone.name);
  return host && !host.includes(".") && known.length === 1 ? `${host}.${known[0].name}` : host;
}

/** What is wrong with a host name, in words; empty when nothing is. `zones`: of which one it
 *  has to be a part (as far as their names are known). `taken`: [host name, tunnel] pairs. */
export function wrongHost(host, zones, taken) {
  if (!HOST.test(host)) return "A whole host name is wanted, such as code.example.com.";
  const owner = taken.find(([name]) => name === host);
  if (owner) return `${host} belongs to tunnel “${owner[1]}” already.`;
  if (zones.length && zones.every((zone) => zone.name) && !zones.some(({ name }) => host === name || host.endsWith(`.${name}`))) {
    return `It has to end with ${zones.map((zone) => `.${zone.name}`).join(" or ")}: you are signed in for no other domain.`;
  }
  return "";
}

const BOUNDS = [["connect_timeout", 1, 300], ["answer_timeout", 0, 86400]];
const within = (text, least, most) => /^\d{1,5}$/.test(String(text).trim()) && Number(text) >= least && Number(text) <= most;

const meantService = (text) => text.trim().toLowerCase().replace(/\/+$/, "");

export function RouteForm({ tunnel, origin, route, before, zones, taken, save, close }) {
  const quick = tunnel.kind === "quick";
  const [draft, setDraft] = useState({ ...PLAIN, ...route });
  const [other, setOther] = useState(Boolean(route.service));
  const [tried, setTried] = useState(false);
  const form = useRef(null);
  const [busy, error, run] = useAction(save);
  useEffect(() => { form.current.querySelector("input").focus(); }, []);
  const set = (key) => (event) => setDraft((old) => ({ ...old, [key]: event.target.value }));
  const mine = tunnel.kind === "named" ? zones.filter((zone) => zone.id === tunnel.zone_id) : [];
  const host = quick ? "" : meantHost(draft.hostname, mine);
  const badHost = quick ? "" : wrongHost(host, mine, taken.filter(([name]) => name !== before));
  const service = other ? meantService(draft.service) : "";
  const badService = other && !SERVICE.test(service) ? "An address without a path is wanted, such as http://localhost:5173." : "";
  const badNumbers = other && BOUNDS.some(([key, least, most]) => !within(draft[key], least, most));
  const submit = (event) => {
    event.preventDefault();
    setTried(true);
    if (badHost || badService || badNumbers || busy) return;
    const more = other ? { ...draft, connect_timeout: Number(draft.connect_timeout), answer_timeout: Number(draft.answer_timeout) } : PLAIN;
    run({ ...more, hostname: host, service });
  };
  const id = `route-${tunnel.name}`;
  const said = (text, typed) => ((tried || typed) && text ? text : "");
  return html`<form class="stack grow routeform" ref=${form} onSubmit=${submit} aria-label=${before === null ? "New host name" : quick ? "Where it leads" : `Change ${before}`}
      onKeyDown=${(event) => event.key === "Escape" && close()}>
    ${!quick && html`<div class="field"><label for="${id}-host">Host name</label>
      <input id="${id}-host" class="mono" value=${draft.hostname} spellcheck=${false} autocomplete="off" autocapitalize="off" placeholder="code.example.com"
        aria-describedby="${id}-host-about" aria-invalid=${said(badHost) ? "true" : null} onInput=${set("hostname")} />
      <p class="small dim" id="${id}-host-about" aria-live="polite">${said(badHost) ? html`<span class="grave">${badHost}</span>`
        : host && host !== draft.hostname ? `Meant is ${host}.` : mine[0]?.name ? `It ends with .${mine[0].name}.` : ""}</p></div>`}
    <fieldset><legend>It leads to</legend>
      <label class="option"><input type="radio" name="${id}-to" checked=${!other} onChange=${() => setOther(false)} /><span>OpenCode</span></label>
      <label class="option"><input type="radio" name="${id}-to" checked=${other} onChange=${() => setOther(true)} />
        <span>Another service of this computer or its network<span class="dim small">Such as a preview of what the agent builds. It is behind the same sign-in.</span></span></label></fieldset>
    ${other && html`<div class="field"><label for="${id}-service">Its address here</label>
      <input id="${id}-service" class="mono" value=${draft.service} spellcheck=${false} autocomplete="off" autocapitalize="off" inputmode="url" placeholder="http://localhost:5173"
        aria-describedby="${id}-service-wrong" aria-invalid=${said(badService) ? "true" : null} onInput=${set("service")} />
      <p class="small grave" id="${id}-service-wrong" aria-live="polite">${said(badService)}</p></div>
    <${More} id=${id} draft=${draft} set=${set} setDraft=${setDraft} secure=${service.startsWith("https:")} bad=${badNumbers} />`}
    <${Before} tunnel=${tunnel} origin=${origin} host=${host} before=${before} signedIn=${mine.length > 0} />
    <${Failure} error=${error} />
    <div class="row wrap"><button class="primary" aria-disabled=${busy ? "true" : null} aria-busy=${busy ? "true" : null}>${busy ? "Saving…" : "Save"}</button>
      <button type="button" onClick=${close}>Cancel</button></div></form>`;
}

/** What saving does, said before. */
function Before({ tunnel, origin, host, before, signedIn }) {
  const isNew = host && host !== before;
  return html`<div class="small dim"><p>Saving restarts nothing: what runs through the tunnel goes on.${
      tunnel.kind !== "named" || !isNew ? "" : !signedIn ? " You are not signed in for its domain. Sign in for it first, below." : ` A DNS record for ${host} is made at Cloudflare; if there is one already, you are asked first.${before ? ` That of ${before} is deleted.` : ""}`}</p>
    ${tunnel.kind === "token" && isNew && origin && html`<p class="row wrap"><span>At Cloudflare, its public host name has to lead to <span class="mono">${inert(origin)}</span></span>
      <${Copy} text=${origin} name="Copy where Cloudflare has to lead" /></p>`}</div>`;
}

const More = ({ id, draft, set, setDraft, secure, bad }) => html`<details><summary>More</summary><div class="fields">
  <div class="field"><label for="${id}-header">Host that it sees</label>
    <input id="${id}-header" class="mono" value=${draft.host_header} spellcheck=${false} autocomplete="off" placeholder="its own address" onInput=${set("host_header")} /></div>
  <div class="field"><label for="${id}-connect">Seconds to connect</label>
    <input id="${id}-connect" value=${draft.connect_timeout} inputmode="numeric" aria-invalid=${bad ? "true" : null} onInput=${set("connect_timeout")} /></div>
  <div class="field"><label for="${id}-answer">Seconds until its answer begins (0: no limit)</label>
    <input id="${id}-answer" value=${draft.answer_timeout} inputmode="numeric" aria-invalid=${bad ? "true" : null} onInput=${set("answer_timeout")} /></div>
  ${bad && html`<p class="small grave" role="alert">Whole seconds are wanted: 1 to 300 to connect, 0 to 86400 until an answer.</p>`}
  ${secure && html`<label class="option"><input type="checkbox" checked=${draft.verify_tls} onChange=${(event) => {
      const { checked } = event.target;
      setDraft((old) => ({ ...old, verify_tls: checked }));
    }} /><span>Check its certificate${!draft.verify_tls && html`<span class="small grave">Without this, anything that answers at that address is believed.</span>`}</span></label>
    <div class="field"><label for="${id}-ca">File of the authorities believed</label>
      <input id="${id}-ca" class="mono" value=${draft.ca_file} spellcheck=${false} autocomplete="off" placeholder="the system’s" onInput=${set("ca_file")} /></div>`}
</div></details>`;
