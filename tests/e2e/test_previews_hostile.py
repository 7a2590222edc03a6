"""A malicious preview in a real browser, at a sibling host of OpenCode's, while whoever looks at it
is signed in to OpenCode: whatever its page tries, OpenCode is not told to do anything.
"""

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.cloudflare.lab import Lab
from tests.e2e.conftest import Phone
from tests.e2e.program import Program, wait_until
from tests.e2e.test_main_job import fetch, sign_in
from tests.e2e.test_tunnels import CODE, PREVIEW, begin, import_zone, ready, run_cli

pytestmark = pytest.mark.timeout(240)

EVIL = """<!doctype html><title>Preview</title><h1>Loading</h1><script>
const code = "https://CODE", done = {};
const word = promise => promise.then(() => "through", () => "refused");
const framed = path => new Promise(end => {
  const frame = document.createElement("iframe");
  frame.src = code + path;
  frame.onload = () => { let seen; try { seen = frame.contentDocument !== null; }
    catch { seen = false; } end(seen ? "through" : "refused"); };
  document.body.append(frame);
});
const socket = path => new Promise(end => {
  const made = new WebSocket(code.replace("https", "wss") + path);
  made.onopen = () => end("through");
  made.onerror = () => end("refused");
});
const posted = (path, type) => new Promise(end => {
  const frame = document.createElement("iframe"), form = document.createElement("form");
  frame.name = "f" + Math.random();
  form.target = frame.name; form.method = "post"; form.enctype = type; form.action = code + path;
  const field = document.createElement("input");
  field.name = '{"title":"Evil","x":"'; field.value = '"}';
  form.append(field); document.body.append(frame, form);
  form.submit();
  setTimeout(() => end("sent"), 1500);
});
addEventListener("load", async () => {
  document.domain = document.domain.split(".").slice(1).join(".");
  for (const name of ["__Host-nexus", "__host-nexus", " __Host-nexus", "\\u00a0__Host-nexus",
                      "\\u2000__Host-nexus", "=__Host-nexus"])
    document.cookie = name + "=" + "x".repeat(43) + "; Path=/; Secure; Domain=DOMAIN";
  const json = {"content-type": "application/json"}, text = {"content-type": "text/plain"};
  const evil = JSON.stringify({title: "Evil"});
  const all = {
    read: word(fetch(code + "/session", {credentials: "include"})),
    make: word(fetch(code + "/session", {method: "POST", body: evil, headers: json,
      credentials: "include"})),
    blind: fetch(code + "/session", {method: "POST", body: evil, headers: text, mode: "no-cors",
      credentials: "include"}).then(() => "sent", () => "refused"),
    out: fetch(code + "/_nexus/sign-out", {method: "POST", mode: "no-cors",
      credentials: "include"}).then(() => "sent", () => "refused"),
    beacon: Promise.resolve(String(navigator.sendBeacon(code + "/session", evil))),
    form: posted("/session", "text/plain"),
    answer: posted("/_nexus/answer", "application/x-www-form-urlencoded"),
    frame: framed("/"), ours: framed("/_nexus/"), visit: framed("/_nexus/visit"),
    events: socket("/_nexus/events"), terminal: socket("/pty/x/connect"),
    worker: word(navigator.serviceWorker.register(code + "/sw.js")),
    mine: word(navigator.serviceWorker.register("/_nexus/sw.js", {scope: "/_nexus/"})),
  };
  for (const [name, one] of Object.entries(all)) done[name] = await one;
  document.querySelector("h1").textContent = JSON.stringify(done);
});
</script>"""


SIGN_OUT = """fetch("/_nexus/sign-out", {
  method: "POST", headers: {"content-type": "application/x-www-form-urlencoded"},
}).then(answer => answer.status)"""


class Evil(http.server.BaseHTTPRequestHandler):
    """What an agent was talked into building."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        domain = CODE.partition(".")[2]
        body = EVIL.replace("CODE", CODE).replace("DOMAIN", domain).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("set-cookie", f"__Host-nexus={'e' * 43}; Domain={domain}; Path=/; Secure")
        self.send_header("clear-site-data", '"cookies"')
        self.send_header("origin-agent-cluster", "?0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def evil() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_its_page_does_nothing_at_opencode(
    program: Program, lab: Lab, phone: Phone, evil: str
) -> None:
    begin(program)
    import_zone(program, lab)
    run_cli(program, "tunnel", "create", "home", "--kind", "named", "--host", CODE,
            "--host", f"{PREVIEW}={evil}")  # fmt: skip
    ready(program, "home")
    sign_in(phone, f"https://{CODE}")
    expect(phone.page).to_have_url(f"https://{CODE}/_nexus/")
    assert fetch(phone.page, "POST", "/session", {"title": "Mine"})[0] == 200
    before = {one["name"]: one["value"] for one in phone.context.cookies(f"https://{CODE}")}

    there = phone.context.new_page()
    there.goto(f"https://{PREVIEW}/")
    expect(there.get_by_role("heading", name="terminal")).to_be_visible(timeout=30_000)
    done = json.loads(there.inner_text("h1"))
    assert "through" not in done.values(), done

    # still signed in, by the same cookie; and nothing was made, answered or ended
    after = {one["name"]: one["value"] for one in phone.context.cookies(f"https://{CODE}")}
    assert after["__Host-nexus"] == before["__Host-nexus"]
    status, sessions = fetch(phone.page, "GET", "/session")
    assert (status, [one["title"] for one in sessions]) == (200, ["Mine"])
    held = {one["name"] for one in phone.context.cookies(f"https://{PREVIEW}")}
    assert "__Host-nexus" not in held

    # signed out at OpenCode, the preview is closed too
    assert phone.page.evaluate(SIGN_OUT) == 200

    def closed() -> bool:
        return bool(there.evaluate("fetch('/').then(answer => answer.status)") == 401)

    wait_until(closed, 10, "the end of the preview's session")
