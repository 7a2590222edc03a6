// Passkeys: which there are and where each signs in; the end of one. They are added on the device
// itself, at the very address, for a browser makes them for the page it shows.

import { html, useRef, useState } from "/vendor/preact-htm.js";
import { send } from "/api.js";
import { useNow } from "/live.js";
import { Act, Failure, toast } from "/parts.js";
import { When } from "/when.js";
import { inert } from "/words.js";

export function Passkeys({ access, read }) {
  const title = useRef(null);
  const now = useNow();
  const revoked = async () => {
    title.current.focus(); // the button that was pressed goes away
    await read();
  };
  return html`<section class="sheet stack" aria-labelledby="passkeys"><div>
      <h2 id="passkeys" ref=${title} tabindex="-1">Passkeys</h2>
      <p class="dim">A passkey signs in by fingerprint, face or PIN, instead of the password and its code, at one address only.
        To add one, sign in on that device at a named tunnel’s address, and choose Passkeys there. A quick tunnel’s address changes, so it has none.</p></div>
    ${access.passkeys.length > 0 && html`<ul class="list">${access.passkeys.map((one) =>
      html`<${Row} key=${one.id} passkey=${one} now=${now} revoked=${revoked} />`)}</ul>`}</section>`;
}

function Row({ passkey, now, revoked }) {
  const [error, setError] = useState(null);
  const name = inert(passkey.name);
  const revoke = async () => {
    await send("DELETE", `/passkeys/${encodeURIComponent(passkey.id)}`);
    toast(`${name} is revoked.`);
    await revoked();
  };
  return html`<li><div class="grow"><b>${name}</b>
      <div class="dim small">at <span class="mono">${inert(passkey.host)}</span></div>
      <div class="dim small">Added <${When} at=${passkey.made_at} now=${now} /> · ${passkey.used_at
        ? html`used <${When} at=${passkey.used_at} now=${now} />` : "never used"}</div>
      <${Failure} error=${error} /></div>
    <${Act} kind="danger" act=${revoke} doing="Revoking…" fail=${setError} name="Revoke ${name}, at ${inert(passkey.host)}"
      ask=${{ title: `Revoke ${name}?`, text: "Who came in with it is signed out at once.", yes: "Revoke", danger: true }}>Revoke<//></li>`;
}
