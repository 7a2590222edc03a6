// Access rules: who may knock from outside, and how much a device may take. Each is a setting.

import { html } from "/vendor/preact-htm.js";
import { get, send } from "/api.js";
import { useFetched } from "/fetched.js";
import { Failure, confirm, toast } from "/parts.js";
import { nameOf, sections } from "/schema.js";
import { Field } from "/settings.js";
import { inert } from "/words.js";

const WHO = ["allow_countries", "deny_countries", "allow_addresses", "deny_addresses"];
const MUCH = ["requests_per_second", "address_requests_per_second", "streams",
  "device_kilobytes_in", "device_kilobytes_out", "total_kilobytes_in", "total_kilobytes_out"];

async function readRules(signal) {
  const [{ settings, etag }, { components }] = await Promise.all([get("/config", signal), get("/openapi.json", signal)]);
  return { values: settings.access, etag, plan: sections(components.schemas).find(({ key }) => key === "access") };
}

/** What a list of countries would do to whom was seen, in words; empty: nothing to fear. */
export function fear(key, countries, seen) {
  if (!WHO.slice(0, 2).includes(key) || !countries.length) return "";
  if (!seen.length) {
    return "No visitor’s country has been told since Nexus Tray started. If Cloudflare does not tell countries here, nobody can come in from outside while the list is set.";
  }
  const out = seen.filter((one) => countries.includes(one) === (key === "deny_countries"));
  return out.length ? `Visitors came from ${seen.join(", ")}. Those from ${out.join(", ")} cannot come in any more.` : "";
}

export function Rules({ live, countries }) {
  const [rules, error, read] = useFetched(readRules, [live.boot]);
  const put = async (change, words, before) => {
    try {
      await send("PATCH", "/config", { access: change }, { "If-Match": `"${rules.etag}"` });
      toast(words, before && (async () => {
        await send("PATCH", "/config", { access: before });
        await read();
      }));
    } finally {
      await read();
    }
  };
  const save = async (key, value) => {
    const text = fear(key, value, countries.map(inert));
    if (text && !await confirm({ title: "Set this list?", text, yes: "Set it", danger: true })) return;
    await put({ [key]: value }, `Saved: ${nameOf(key).toLowerCase()}.`, { [key]: rules.values[key] });
  };
  const field = (key) => html`<${Field} key=${key} id="access-${key}" setting=${rules.plan.settings.find((one) => one.key === key)}
    value=${rules.values[key]} save=${(value) => save(key, value)} />`;
  return html`<section class="sheet" aria-labelledby="rules"><h2 id="rules">Access rules</h2>
    <p class="dim">For who comes from outside; this computer itself has no limits. A visitor who is refused is not told why: it stands below, in the trail.
      ${countries.length > 0 && html` Seen since the start: ${countries.map(inert).join(", ")}.`}</p>
    <${Failure} error=${error} />
    ${rules && html`<div>${[...WHO, "idle_minutes"].map(field)}</div><details><summary>How much one may take</summary><div>${MUCH.map(field)}</div></details>`}</section>`;
}
