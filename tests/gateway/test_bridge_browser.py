"""A real browser on the real OpenCode, where the way in holds back server-sent events.

Chromium - edge (tests/gateway/edge.py) - the real gateway with bridge and shaping -
OpenCode. Ten minutes of sleep are ten minutes of the bridge's clock, not of the test's.
"""

import base64
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from nexus_tray.gateway.events.bridge import Bridge
from nexus_tray.gateway.events.streams import SETTLE_SECONDS, Limits
from nexus_tray.gateway.http import PREFIX, Principal, Request, Response, Upstream
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.shaping.manifest import ManifestCopy
from nexus_tray.gateway.shaping.shaping import Shaping
from nexus_tray.gateway.site import static
from tests.gateway.doubles import HOST, SECRET, Handler, SmallSite
from tests.gateway.edge import Edge
from tests.opencode_lab.harness import Home, Keeper, Talk, until

UI = Path(__file__).parents[2] / "ui" / "gateway"
ORIGIN = f"https://{HOST}"
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --ignore-certificate-errors"
)

RECORD = """async () => {
  window.seen = [];
  const answer = await fetch("/global/event");
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  (async () => {
    for (let text = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split("\\n\\n");
      text = blocks.pop();
      for (const block of blocks) window.seen.push([Date.now() / 1000, block.slice(6)]);
    }
  })();
}"""


class BridgedSite(SmallSite):
    """The small site with the bridge, its script and the manifest."""

    def __init__(self, bridge: Bridge, manifest: ManifestCopy) -> None:
        super().__init__()
        self.bridge = bridge
        self.manifest = manifest
        self.files = static.load(UI)

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        file = self.files.get(request.path.removeprefix(PREFIX))
        return static.serve(request, file) if file else Response(404)

    def local_copy(self, request: Request) -> Response | None:
        return self.manifest.local_copy(request)

    def websocket(self, request: Request, principal: Principal | None) -> Handler | Response:
        return self.bridge.websocket(request, principal)


class House:
    """The gateway with an edge before it. `asleep` is added to the bridge's clock."""

    def __init__(self, folder: Path, upstream: Upstream | None) -> None:
        self.asleep = 0.0
        self.bridge = Bridge(self._where, Limits(), lambda: time.monotonic() + self.asleep)
        manifest = ManifestCopy()
        self.site = BridgedSite(self.bridge, manifest)

        async def copy(where: Upstream) -> None:
            await manifest.refresh(where)

        self.gateway = Gateway(
            self.site,
            Shaping(self._where),
            folder / "run" / "gateway.sock",
            on_upstream=copy,
            on_end=self.bridge.close,
        )
        self.gateway.start()
        self.gateway.set_upstream(upstream)
        self.gateway.set_routes({"quick": OPENCODE_ONLY})
        self.gateway.open_door("quick", SECRET, holds_events=True)
        self.edge = Edge(folder / "run" / "gateway.sock")

    def _where(self) -> Upstream | None:
        return self.gateway.upstream

    def close(self) -> None:
        self.edge.close()
        self.gateway.close()


class Witness:
    """Reads OpenCode's stream beside the browser, directly: what there was to be seen."""

    def __init__(self, upstream: Upstream) -> None:
        self.seen: list[tuple[float, str]] = []
        self._socket = socket.create_connection((upstream.host, upstream.port), timeout=60)
        credential = upstream.authorization.decode()
        head = f"GET /global/event HTTP/1.0\r\nHost: x\r\nAuthorization: {credential}\r\n\r\n"
        self._socket.sendall(head.encode())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        until("the greeting", lambda: self.seen)
        time.sleep(SETTLE_SECONDS)  # OpenCode greets before it listens: see there

    def _read(self) -> None:
        with self._socket.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"data: "):
                    self.seen.append((time.time(), line[6:].decode().strip()))

    def said(self, text: str) -> bool:
        """Whether a piece of an answer had these words."""
        return any('"message.part.delta"' in raw and text in raw for _, raw in self.seen)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(15)
        self._socket.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[[int], Browser]]:
    """Starts Chromium with the tunnel's host name leading to a port."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "The tests need a real browser: install Debian's package chromium."
    started: list[Browser] = []
    with sync_playwright() as playwright:

        def start(port: int) -> Browser:
            args = [*QUIET.split(), f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}"]
            started.append(playwright.chromium.launch(executable_path=program, args=args))
            return started[-1]

        yield start
        for browser in started:
            browser.close()


@pytest.fixture(scope="module")
def house(opencode: Keeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("bridge"), opencode.upstream)
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser(chromium: Callable[[int], Browser], house: House) -> Browser:
    return chromium(house.edge.port)


@pytest.fixture
def witness(opencode: Keeper) -> Iterator[Witness]:
    assert opencode.upstream
    made = Witness(opencode.upstream)
    yield made
    made.close()


@pytest.fixture
def talk(opencode: Keeper) -> Talk:
    assert opencode.upstream
    return Talk(opencode.upstream, opencode.home.project)


class Phone:
    """A signed-in browser of a phone's size."""

    def __init__(self, browser: Browser, house: House) -> None:
        house.site.sign_in()
        self.house = house
        self.context: BrowserContext = browser.new_context(
            ignore_https_errors=True, viewport={"width": 390, "height": 800}
        )
        cookie = {"name": "__Host-nexus", "value": "ada", "url": f"{ORIGIN}/", "secure": True}
        self.context.add_cookies([cookie])  # type: ignore[list-item]
        self.page: Page = self.context.new_page()
        self.loads = 0
        self.page.on("load", lambda _: self._loaded())
        self.cdp: CDPSession = self.context.new_cdp_session(self.page)

    def _loaded(self) -> None:
        self.loads += 1

    def open(self, talk: Talk) -> None:
        """The conversation's own page, ready and with its stream open."""
        folder = base64.urlsafe_b64encode(talk.directory.encode()).rstrip(b"=").decode()
        self.page.goto(f"{ORIGIN}/{folder}/session/{talk.id}")
        self.until("the stream", lambda: any(one.readers for one in self.subscriptions()))

    def subscriptions(self) -> list[Any]:
        return list(self.house.bridge.hub._subscriptions.values())

    def text(self) -> str:
        try:
            return str(self.page.evaluate("() => document.body?.innerText"))
        except PlaywrightError:
            return ""  # between two pages

    def sees(self, text: str, seconds: float = 15.0) -> None:
        self.until(text, lambda: text in self.text(), seconds)

    def until(self, what: str, holds: Callable[[], object], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not come: {self.text()[-600:]}"
            self.page.wait_for_timeout(20)

    def record(self) -> None:
        """Read one more stream of our own on the page, every event with its time."""
        self.page.evaluate(RECORD)
        self.until("the greeting", self.recorded)

    def recorded(self) -> list[tuple[float, str]]:
        return [(at, text) for at, text in self.page.evaluate("() => window.seen")]

    def sleep(self) -> None:
        self.cdp.send("Page.enable")
        self.cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
        self.house.edge.down = True
        self.house.edge.cut()

    def wake(self, after_seconds: float) -> None:
        self.house.asleep += after_seconds
        self.house.edge.down = False
        self.cdp.send("Page.setWebLifecycleState", {"state": "active"})


@pytest.fixture
def phone(browser: Browser, house: House) -> Iterator[Phone]:
    made = Phone(browser, house)
    yield made
    house.edge.down = False
    made.context.close()


def conversation(seen: list[tuple[float, str]], session: str) -> tuple[list[str], dict[str, str]]:
    """What a page makes of events: ids of all but part events in order, and parts' texts."""
    ids: list[str] = []
    parts: dict[str, str] = {}
    for _, raw in seen:
        payload = json.loads(raw)["payload"]
        properties = payload.get("properties", {})
        if session not in raw or payload["type"] == "sync":
            continue
        if payload["type"] == "message.part.updated":
            parts[properties["part"]["id"]] = properties["part"].get("text", "")
        elif payload["type"] == "message.part.delta":
            parts[properties["partID"]] = parts.get(properties["partID"], "") + properties["delta"]
        else:
            ids.append(payload["id"])
    return ids, parts


def agree(phone: Phone, witness: Witness, talk: Talk) -> None:
    """The page has what there was: not less, not twice, in the same order."""
    deadline = time.monotonic() + 10
    while True:
        page, truth = (conversation(seen, talk.id) for seen in (phone.recorded(), witness.seen))
        if page == truth or time.monotonic() > deadline:
            break
        phone.page.wait_for_timeout(50)
    assert page[1] == truth[1]
    assert page[0] == truth[0]


def idle(seen: list[tuple[float, str]], session: str) -> int:
    return sum('"session.idle"' in raw and session in raw for _, raw in seen)


def ticks(text: str) -> list[str]:
    return re.findall(r"tick\d+", text)


def test_the_first_event_comes_within_a_second(phone: Phone, talk: Talk, witness: Witness) -> None:
    phone.open(talk)
    held = phone.page.evaluate("""async () => {
      const frame = document.body.appendChild(document.createElement("iframe"));
      const native = frame.contentWindow.fetch;
      return native("/global/event", { signal: AbortSignal.timeout(1000) })
        .then(() => "came", () => "held");
    }""")
    assert held == "held"  # without the bridge nothing would come
    phone.record()
    talk.say("good morning")
    phone.sees("You said: good morning")
    first = [next(at for at, raw in seen if '"busy"' in raw and talk.id in raw)
             for seen in (witness.seen, phone.recorded())]  # fmt: skip
    assert first[1] - first[0] < 1.0


def test_after_ten_minutes_of_sleep_nothing_is_missing_or_doubled(
    phone: Phone, talk: Talk, witness: Witness
) -> None:
    phone.open(talk)
    phone.record()
    talk.say("SLOW")
    phone.sees("tick1")
    phone.sleep()
    phone.until("some words", lambda: witness.said("tick4"))
    talk.abort()
    talk.say("are you there")
    phone.until("two turns", lambda: idle(witness.seen, talk.id) >= 2)
    phone.wake(after_seconds=600)
    phone.sees("You said: are you there")
    phone.until("all events", lambda: idle(phone.recorded(), talk.id) >= 2)
    agree(phone, witness, talk)
    assert ticks(phone.text()) == ticks(talk.text())
    assert phone.text().count("You said: are you there") == 1
    assert phone.loads == 1


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_real_minutes_without_network_lose_and_double_nothing(
    phone: Phone, talk: Talk, witness: Witness
) -> None:
    """The page is awake, tries in vain, and the clock is nobody's to turn."""
    phone.open(talk)
    phone.record()
    talk.say("before")
    phone.sees("You said: before")
    phone.house.edge.down = True
    phone.house.edge.cut()
    end, turns = time.monotonic() + 600, 1

    def all_ended() -> bool:
        return idle(witness.seen, talk.id) >= turns

    while time.monotonic() < end:
        talk.say(f"turn {turns} while you are away")
        turns += 1
        phone.until("its end", all_ended, 60)
        phone.page.wait_for_timeout(20_000)
    assert "while you are away" not in phone.text()
    phone.house.edge.down = False
    began = time.monotonic()
    phone.sees(f"You said: turn {turns - 1} while", seconds=60)
    print(f"{turns - 1} turns shown {time.monotonic() - began:.1f} s after the network's return")
    assert phone.loads == 1
    phone.until("all events", lambda: idle(phone.recorded(), talk.id) >= turns, 30)
    agree(phone, witness, talk)
    # the page draws only what is near to the eye
    drawn = [int(one) for one in re.findall(r"You said: turn (\d+) while", phone.text())]
    assert drawn == list(range(drawn[0], turns)), "none missing, none twice, in order"
    assert len(drawn) >= 3


def test_a_line_that_breaks_again_and_again_loses_and_doubles_nothing(
    phone: Phone, talk: Talk, witness: Witness
) -> None:
    phone.open(talk)
    phone.record()
    talk.say("SLOW")
    for count in range(1, 8):
        phone.sees(f"tick{count}")
        phone.house.edge.cut()
    talk.abort()
    phone.until("the end", lambda: idle(phone.recorded(), talk.id) >= 1)
    phone.until("the end", lambda: idle(witness.seen, talk.id) >= 1)
    agree(phone, witness, talk)
    phone.until("all words", lambda: ticks(phone.text()) == ticks(talk.text()))
    assert phone.loads == 1


def test_a_line_that_died_without_a_word_is_found_out_when_the_network_is_back(
    phone: Phone, talk: Talk
) -> None:
    phone.open(talk)
    phone.house.edge.swallow()
    talk.say("unheard")
    phone.until("the answer", lambda: "You said: unheard" in talk.text())
    assert "You said: unheard" not in phone.text()
    phone.page.evaluate("() => window.dispatchEvent(new Event('online'))")
    phone.sees("You said: unheard", seconds=8)
    assert phone.loads == 1


def test_who_slept_too_long_gets_the_page_anew_with_the_draft_kept(
    phone: Phone, talk: Talk
) -> None:
    phone.open(talk)
    phone.page.locator("[contenteditable=true], textarea").first.click()
    phone.page.keyboard.type("half a thought")
    phone.page.wait_for_timeout(500)  # the page saves drafts a moment later
    phone.sleep()
    phone.until("nobody reads", lambda: not any(one.readers for one in phone.subscriptions()))
    talk.say("long ago")
    phone.until("the answer", lambda: "You said: long ago" in talk.text())
    phone.wake(after_seconds=3600)
    phone.sees("You said: long ago")
    phone.sees("half a thought")
    assert phone.loads == 2


def test_opencodes_restart_is_survived_without_loading_anew(
    chromium: Callable[[int], Browser], opencode_home: Home, tmp_path: Path
) -> None:
    with Keeper(opencode_home) as keeper:
        house = House(tmp_path, keeper.start())
        try:
            phone = Phone(chromium(house.edge.port), house)
            assert keeper.upstream
            phone.open(Talk(keeper.upstream, opencode_home.project))
            house.gateway.set_upstream(None)
            keeper.stop()
            phone.until("the end", lambda: not phone.subscriptions())
            house.gateway.set_upstream(keeper.start())
            phone.until("a stream", lambda: any(one.readers for one in phone.subscriptions()))
            phone.record()
            talk = Talk(keeper.upstream, opencode_home.project)
            talk.say("again")
            phone.until("events", lambda: idle(phone.recorded(), talk.id))
            assert phone.loads == 1
            phone.context.close()
        finally:
            house.close()


def test_a_session_that_ended_leads_back_to_sign_in(phone: Phone, talk: Talk) -> None:
    phone.open(talk)
    phone.house.site.sessions.clear()
    phone.house.bridge.cut("id-ada")
    phone.sees("sign in first")
    assert phone.subscriptions() == []


def test_a_page_that_goes_leaves_no_stream_behind(phone: Phone, talk: Talk) -> None:
    phone.open(talk)
    phone.page.reload()
    phone.until("one stream", lambda: len(phone.subscriptions()) == 1)
    phone.page.goto("about:blank")
    phone.until("no stream", lambda: not phone.subscriptions())


def test_event_source_is_bridged_too(phone: Phone, talk: Talk) -> None:
    phone.open(talk)
    heard = phone.page.evaluate("""() => new Promise((resolve) => {
      const source = new EventSource("/event");
      source.onmessage = (event) => { source.close(); resolve([event.data, source.readyState]); };
    })""")
    assert json.loads(heard[0])["type"] == "server.connected"
    assert heard[1] == 2
    refused = phone.page.evaluate("""() => new Promise((resolve) => {
      const source = new EventSource("/_nexus/other");
      source.onerror = () => resolve(source instanceof EventSource);
    })""")
    assert refused  # any other goes to the browser's own


def test_aborted_and_unknown_requests_are_answered_as_the_browser_would(
    phone: Phone, talk: Talk
) -> None:
    phone.open(talk)
    outcomes = phone.page.evaluate("""async () => {
      const cut = new AbortController();
      const open = await fetch("/global/event", { signal: cut.signal });
      const reader = open.body.getReader();
      await reader.read();
      cut.abort();
      const aborted = await reader.read().then(() => "read", (error) => error.name);
      const early = await fetch("/event", { signal: AbortSignal.abort() })
        .then(() => "came", (error) => error.name);
      const missing = await fetch("/event?auth_token=x");
      const posted = await fetch("/event", { method: "POST" });
      return [open.headers.get("content-type"), aborted, early, missing.status, posted.type];
    }""")
    assert outcomes == ["text/event-stream", "AbortError", "AbortError", 404, "basic"]


def test_a_page_that_asks_again_at_once_goes_on_where_it_stopped(
    phone: Phone, talk: Talk, witness: Witness
) -> None:
    """Versions of the page with a heartbeat rule abort and ask again after 250 ms."""
    phone.open(talk)
    phone.page.evaluate("""async () => {
      window.cut = new AbortController();
      const answer = await fetch("/event?again", { signal: window.cut.signal });
      await answer.body.getReader().read();
      window.cut.abort();
    }""")
    talk.say("meanwhile")
    phone.until("the answer", lambda: idle(witness.seen, talk.id))
    missed = phone.page.evaluate("""async () => {
      const answer = await fetch("/event?again");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (!text.includes("session.idle")) text += (await reader.read()).value;
      return text;
    }""")
    assert "server.connected" not in missed
    assert "meanwhile" in missed


def test_messages_asked_for_do_not_overtake_the_events_that_are_still_to_come(
    phone: Phone, talk: Talk, witness: Witness
) -> None:
    phone.open(talk)
    phone.record()
    phone.house.edge.down = True
    phone.house.edge.cut()
    talk.say("overtaken")
    phone.until("the answer", lambda: idle(witness.seen, talk.id))
    phone.house.edge.down = False
    asked = phone.page.evaluate(
        """async (path) => {
      const answer = await fetch(path);
      return [answer.status, window.seen.some(([, raw]) => raw.includes("session.idle"))];
    }""",
        f"/session/{talk.id}/message?directory={talk.directory}",
    )
    assert asked == [200, True]


def test_assets_are_compressed_and_asked_for_once(phone: Phone, talk: Talk) -> None:
    sizes = """() => performance.getEntriesByType("resource")
      .filter((one) => /\\/assets\\/index-.*\\.(js|css)$/.test(one.name))
      .map((one) => [one.transferSize, one.decodedBodySize])"""
    phone.open(talk)
    first = phone.page.evaluate(sizes)
    assert len(first) == 2
    assert all(0 < sent < whole / 3 for sent, whole in first)
    phone.page.reload()
    assert [sent for sent, _ in phone.page.evaluate(sizes)] == [0, 0]


def test_the_page_can_be_installed_as_an_app(phone: Phone, talk: Talk) -> None:
    phone.open(talk)
    manifest = phone.cdp.send("Page.getAppManifest")
    assert manifest["url"] == f"{ORIGIN}/site.webmanifest"
    assert manifest["errors"] == []
    found = phone.cdp.send("Page.getInstallabilityErrors")["installabilityErrors"]
    tests_own = {"in-incognito", "not-from-secure-origin"}  # a test's profile and certificate
    assert {error["errorId"] for error in found} <= tests_own


def test_the_page_has_nothing_to_complain_of(phone: Phone, talk: Talk) -> None:
    complaints: list[str] = []
    phone.page.on("pageerror", lambda error: complaints.append(str(error)))
    phone.page.on(
        "console", lambda said: complaints.append(said.text) if said.type == "error" else None
    )
    phone.open(talk)
    talk.say("hello")
    phone.sees("You said: hello")
    assert complaints == []
