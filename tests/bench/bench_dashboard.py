"""How soon the dashboard is painted, beside a page that says hello and nothing else.

    .venv/bin/python -m tests.bench.bench_dashboard [rounds]

Default: 15 rounds, medians. The dashboard comes from the real ApiServer with the real
program's files; its peer is one line of HTML from Python's own http.server, opened in turn
in the same browser, so that a busy machine is busy for both. "First visit" is a browser
without anything kept, "again" one that has the files and asks whether they changed. All in
milliseconds from the start of the navigation, as the browser itself tells them. Prints a
table; changes nothing.
"""

import gzip
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from nexus_tray.paths import find
from tests.api.doubles import stored_house
from tests.dashboard import house as made
from tests.dashboard.conftest import LAUNCH, UI, start

HELLO = "<!doctype html><title>Hello</title><h1>Hello</h1>"

WATCH = """(() => {
    const look = new MutationObserver(() => {
        if (!document.querySelector('h1')) return;
        look.disconnect();
        // After the next frame has been made with it.
        requestAnimationFrame(() => setTimeout(() => { window.shownAt = performance.now(); }));
    });
    look.observe(document, {childList: true, subtree: true});
})()"""

PAINT = """async () => {
    const first = () => performance.getEntriesByName('first-contentful-paint')[0];
    while (!window.shownAt || !first()) await new Promise(done => setTimeout(done, 5));
    const answer = performance.getEntriesByType('navigation')[0].responseEnd;
    return {paint: first().startTime, shown: window.shownAt, answer};
}"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *given: object) -> None:
        """Nothing."""


@dataclass
class Times:
    """What the rounds of one page took."""

    answer: list[float] = field(default_factory=list)
    paint: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)

    def take(self, context: BrowserContext, url: str) -> None:
        """Open the page once more, in a tab of its own."""
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(url)
        for name, value in page.evaluate(PAINT).items():
            getattr(self, name).append(value)
        page.close()

    def row(self, name: str) -> None:
        figures = [statistics.median(one) for one in (self.answer, self.paint, self.shown)]
        say(f"{name:<28}" + "".join(f"{one:>14.0f}" for one in (*figures, min(self.paint))))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(browser: Browser, rounds: int, invite: Callable[[], str], hello: str) -> None:
    """Both pages in turn, each in a fresh browser profile and in a kept one."""
    kept = browser.new_context()
    pages: dict[str, Callable[[], str]] = {"dashboard": invite, "hello page": lambda: hello}
    seen = {(name, way): Times() for name in pages for way in ("first visit", "again")}
    for url in pages.values():  # the first of all pays for the browser's own start
        Times().take(kept, url())
    for _ in range(rounds):
        for name, url in pages.items():
            fresh = browser.new_context()
            seen[name, "first visit"].take(fresh, url())
            fresh.close()
            seen[name, "again"].take(kept, url())
    heads = ("HTML is in", "first paint", "with data", "best paint")
    say(f"{'median, ms':<28}" + "".join(f"{head:>14}" for head in heads))
    for (name, way), times in seen.items():
        times.row(f"{name}, {way}")
    for way in ("first visit", "again"):
        ours, theirs = (statistics.median(seen[name, way].paint) for name in pages)
        say(f"first paint, {way}: {ours / theirs:.2f} times the hello page's")


def answers(url: str, rounds: int) -> None:
    """How long one file takes, without a browser."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        with urllib.request.urlopen(f"{url}/main.js") as answer:
            answer.read()
        taken.append((time.perf_counter() - began) * 1000)
    say(f"one file by a new connection: {statistics.median(taken):.1f} ms")


def main(rounds: int) -> None:
    """Print the table."""
    files = [path for path in UI.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    size = sum(len(gzip.compress(path.read_bytes())) for path in files)
    say(f"{len(files)} files, {size / 1000:.0f} kB compressed one by one")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        (Path(home) / "hello").mkdir()
        (Path(home) / "hello" / "index.html").write_text(HELLO)
        peer = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=f"{home}/hello"))
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=LAUNCH)
        with stored_house(find({"NEXUS_TRAY_HOME": f"{home}/home"})) as house:
            made.note_some(house)
            made.well(house, time.time())
            server = start(house.backend)
            answers(server.url, 30)
            compare(browser, rounds, server.invite, f"http://127.0.0.1:{peer.server_port}/")
            server.stop()
        browser.close()
        peer.shutdown()
        peer.server_close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
