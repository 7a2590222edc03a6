// Passkeys: signing in with one, and adding one. The browser asks the authenticator; what that says
// is posted as an ordinary form with one field of JSON. Bytes are base64url, as in WebAuthn's JSON.

const signIn = document.getElementById("passkey");
const add = document.getElementById("add-passkey");
const FAILED = "The computer did not take it. Reload this page, then try again.";
const CANCELLED = "No passkey was used: it was cancelled, took too long, or there is none for this address here.";
const KNOWN = "This device, or where it keeps its passkeys, has one for this address already.";

const read = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const written = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

/** What the authenticator said, as WebAuthn's toJSON would write it where a browser has that. */
function told(credential) {
  const said = credential.response;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const response = Object.fromEntries(parts.filter((part) => said[part]).map((part) => [part, written(said[part])]));
  return JSON.stringify({ id: credential.id, rawId: written(credential.rawId), type: credential.type, response });
}

async function post(path, fields) {
  const answer = await fetch(`/_nexus/${path}`, { method: "POST", body: new URLSearchParams(fields) });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.message || FAILED);
  return value;
}

/** In words: the browser's own names say nothing to a person. */
function words(error) {
  if (error.name === "InvalidStateError") return KNOWN;
  return error.name === "NotAllowedError" || error.name === "AbortError" ? CANCELLED : error.message || FAILED;
}

/** Once at a time; the words of a failure stand in `place`, and are read out. */
function once(button, place, act) {
  return async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    place.hidden = true;
    try {
      await act();
    } catch (error) {
      place.textContent = words(error);
      place.hidden = false;
    }
    button.removeAttribute("aria-disabled");
  };
}

async function useOne() {
  const asked = await post("passkey-challenge", {});
  const credential = await navigator.credentials.get({ publicKey: { ...asked, challenge: read(asked.challenge) } });
  location.assign((await post("passkey", { answer: told(credential), next: signIn.dataset.next })).to);
}

async function addOne() {
  const given = Object.fromEntries(new FormData(add));
  const { name, ...again } = given;
  const asked = await post("passkey-begin", again);
  const publicKey = {
    ...asked, challenge: read(asked.challenge), user: { ...asked.user, id: read(asked.user.id) },
    excludeCredentials: (asked.excludeCredentials || []).map((one) => ({ ...one, id: read(one.id) })),
  };
  const credential = await navigator.credentials.create({ publicKey });
  location.assign((await post("passkey-add", { answer: told(credential), name })).to);
}

if (window.PublicKeyCredential) {
  if (signIn) {
    const button = signIn.querySelector("button");
    signIn.hidden = false;
    button.addEventListener("click", once(button, signIn.querySelector("[role=alert]"), useOne));
  }
  if (add) {
    document.getElementById("no-passkeys").hidden = true;
    add.hidden = false;
    add.addEventListener("submit", once(add.querySelector(".primary"), add.querySelector("[role=alert]"), addOne));
  }
}
