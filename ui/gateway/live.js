// Keeps the page of the sessions, or of one session, as it is on the computer. The page works without it.
// Asks every three seconds while it is seen; an unchanged page costs a 304. Only parts that
// changed are replaced, and never a form that somebody has begun to fill in.

const EVERY = 3000;
const live = document.getElementById("live");
const stale = document.getElementById("stale");
// Parts whose children come and go one by one; all others are replaced whole.
const KEYED = ["waiting", "said"];
let etag = "";
let timer = 0;
let asking = false;

// Not `node.id`: in a form that is its field named "id".
const idOf = (node) => node.getAttribute("id");

const begun = (form) =>
  form.contains(document.activeElement) ||
  [...form.querySelectorAll("input")].some(
    (input) => input.checked !== input.defaultChecked || input.value !== input.defaultValue,
  );

// Put `fresh` in the place of `old`: children that have an id are matched by it.
function replace(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!KEYED.includes(old.id)) {
    old.replaceWith(fresh);
    return;
  }
  old.hidden = fresh.hidden;
  const staying = new Set([...fresh.children].map(idOf));
  for (const child of [...old.children]) if (!staying.has(idOf(child))) child.remove();
  const standing = new Map([...old.children].map((child) => [idOf(child), child]));
  let place = old.firstElementChild;
  for (const child of [...fresh.children]) {
    const known = standing.get(idOf(child));
    const kept = known && (begun(known) || known.isEqualNode(child)) ? known : child;
    if (known && known !== kept) {
      // what somebody has unfolded stays so
      const open = [...known.querySelectorAll("details")].map((one) => one.open);
      [...kept.querySelectorAll("details")].forEach((one, at) => { one.open = Boolean(open[at]); });
      if (place === known) place = known.nextElementSibling;
      known.remove();
    }
    if (kept === place) place = place.nextElementSibling;
    else old.insertBefore(kept, place);
  }
}

function draw(html) {
  const at = live.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  for (const part of [...fresh.children]) {
    const old = document.getElementById(part.id);
    if (old && live.contains(old)) replace(old, document.adoptNode(part));
  }
  // a link that had the focus keeps it, or the keyboard begins again at the top each minute
  if (at) live.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
}

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const signal = AbortSignal.timeout(10000);
    const answer = await fetch(live.dataset.from, { headers, signal, cache: "no-store" });
    if (answer.status === 401) {
      location.reload(); // the session ended: the sign-in page follows
      return;
    }
    if (answer.ok) {
      etag = answer.headers.get("ETag") || "";
      draw(await answer.text());
    }
    stale.hidden = answer.ok || answer.status === 304;
  } catch {
    stale.hidden = false; // no network, or the tunnel is down: said on the page
  } finally {
    asking = false;
  }
}

function watch() {
  clearInterval(timer);
  if (document.hidden) return;
  timer = setInterval(ask, EVERY);
  ask();
}

document.addEventListener("visibilitychange", watch);
addEventListener("pageshow", watch);
addEventListener("online", ask);
watch();
