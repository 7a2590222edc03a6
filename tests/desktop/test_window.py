"""The dashboard's window: real GTK and WebKit, under Xvfb, over the real API server."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from nexus_tray.app.window_handlers import NO_BROWSER, NO_DESKTOP, WindowHandlers
from nexus_tray.desktop.window_place import Place, read, write
from nexus_tray.model import Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.system import process_tree, web_view
from tests.api.doubles import stored_house
from tests.dashboard.conftest import start
from tests.dashboard.house import well
from tests.desktop.window_desk import (
    Eyes,
    WindowDesk,
    has_web_view,
    private_mb,
    screen,
    serving,
    show,
    tree,
    within,
)

pytestmark = pytest.mark.skipif(
    not has_web_view(),
    reason="needs Xvfb, python3-gi and gir1.2-webkit2-4.1, and the system's Python version",
)
PAINTED = 40
"""Colours that a page with text has at least; an empty window has one."""


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as name:
        yield name


@pytest.fixture
def desk(paths: Paths, display: str) -> Iterator[WindowDesk]:
    with stored_house(paths) as house:
        well(house, 1000.0)
        server = start(house.backend)
        yield WindowDesk(house.backend, server, display, paths.data)
        server.stop()


@pytest.fixture
def window(desk: WindowDesk) -> Iterator[WindowHandlers]:
    handlers = desk.handlers()
    yield handlers
    handlers.close()


@pytest.fixture
def eyes(display: str) -> Iterator[Eyes]:
    made = Eyes(display)
    yield made
    made.close()


def pid_of(window: WindowHandlers) -> int:
    assert window.pid is not None
    return window.pid


def painted(eyes: Eyes) -> None:
    within(15, lambda: eyes.colours() > PAINTED, "a painted page")


def gone(processes: list[psutil.Process]) -> None:
    """Ended and waited for: not even a zombie is left."""
    within(30, lambda: not any(process.is_running() for process in processes), "their end")


def test_a_window_opens_and_is_raised_and_closing_gives_everything_back(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    assert show(window) == ""
    painted(eyes)
    pid = pid_of(window)
    processes = tree(pid)
    # no other user may read the ticket in the list of processes, nor see a port opened by it
    assert all("ticket" not in " ".join(process.cmdline()) for process in processes)
    assert not [c for p in processes for c in p.net_connections() if c.status == "LISTEN"]
    print(f"private memory of {len(processes)} processes: {private_mb(processes):.0f} MB")
    assert (show(window), pid_of(window)) == ("", pid)
    assert desk.invited == ["/"]  # raised as it is: what is being typed stays
    before = eyes.colours()
    assert (show(window, "/settings"), pid_of(window)) == ("", pid)
    within(10, lambda: eyes.colours() != before, "the other page")
    eyes.close_window()
    gone(processes)
    assert window.pid is None
    assert desk.browsed == []
    assert show(window) == ""  # and it can be opened again
    assert pid_of(window) != pid


def test_place_and_size_are_remembered(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    show(window)
    shown = within(10, eyes.window, "the window")
    shown.configure(x=77, y=55, width=640, height=500)
    eyes.display.sync()
    file = desk.data / "window.json"
    within(5, lambda: read(file).width == 640, "the place in the file")
    processes = tree(pid_of(window))
    shown.configure(x=90)  # a moment before it is closed
    eyes.close_window()
    gone(processes)
    assert read(file) == Place(x=90, y=55, width=640, height=500)
    show(window)
    within(10, lambda: eyes.place() == (90, 55, 640, 500), f"its place, not {eyes.place()}")


def test_it_is_zoomed_and_closed_by_the_keys_of_a_browser(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    show(window)
    painted(eyes)
    shown = within(10, eyes.window, "the window")
    assert shown.get_wm_class() == ("nexus-tray", "Nexus-tray")  # as the desktop entry's name
    file = desk.data / "window.json"
    for keys, zoom in ((("equal",), 1.1), (("equal",), 1.25), (("minus",), 1.1), (("0",), 1.0)):
        eyes.press("Control_L", *keys)
        within(5, lambda zoom=zoom: read(file).zoom == zoom, f"a zoom of {zoom}")  # type: ignore[misc]
    eyes.press("Control_L", "w")
    within(5, lambda: window.pid is None, "its end")


def test_a_page_whose_access_was_ended_gets_a_new_one_when_it_is_asked_for(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    """After a panic, say: what the page says to do, has to help."""
    show(window)
    painted(eyes)
    pid = pid_of(window)
    tickets = desk.server._tickets
    assert len(tickets._sessions) == 1
    tickets.void_all()

    def asked_again() -> bool:
        show(window)
        return len(desk.invited) > 1

    within(15, asked_again, "a new link")
    within(10, lambda: len(tickets._sessions) == 1, "its access")
    assert pid_of(window) == pid


DOWNLOAD = """<!doctype html><title>x</title><body>saving<script>
const link = document.createElement("a");
link.href = URL.createObjectURL(new Blob(["hello"], { type: "application/octet-stream" }));
link.download = "lines.txt";
link.click();
</script></body>"""


def test_what_the_page_makes_for_saving_is_saved_where_the_person_says(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    with serving({"/": (200, DOWNLOAD)}) as (own, _):
        desk.link = own + "/"
        show(window)
        within(10, lambda: eyes.window("Save"), "the question where to")
        eyes.press("Return", title="Save")
        saved = desk.data.parent / "lines.txt"
        within(10, lambda: saved.is_file() and saved.read_text() == "hello", "the file")


def test_a_place_that_no_screen_shows_is_not_taken(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    write(desk.data / "window.json", Place(x=4000, y=3000, width=5000, height=600))
    show(window)
    x, y, width, height = within(10, eyes.place, "the window")
    assert (width, height) == (1400, 600)
    assert 0 <= y < 900
    assert x < 1300


def test_other_addresses_go_to_the_browser_and_are_not_loaded(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    """The overview's link to the address is clicked, as `a target=_blank`."""
    show(window)
    painted(eyes)
    click = within(10, eyes.find_link, "the link's colour on the page")
    eyes.click(*click)
    within(10, lambda: desk.browsed, "the browser")
    assert desk.browsed == ["https://calm-river-walks-far.trycloudflare.com/"]


HOSTILE = """<!doctype html><title>x</title><script>
const frame = () => Object.assign(document.createElement("iframe"), { src: "ELSEWHERE/framed" });
[
  () => location.assign("ELSEWHERE/assigned"),
  () => window.open("ELSEWHERE/opened"),
  () => document.body.append(frame()),
  () => location.assign("file:///etc/passwd"),
  () => location.assign("nexus-test:run"),
  () => location.assign("/redirected"),
].forEach((way, turn) => setTimeout(way, 300 * turn));
setTimeout(() => fetch("/done"), 2200);
</script><body>hostile</body>"""


def test_nothing_but_its_own_origin_is_ever_loaded(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    """Whatever a page tries: a page that was bent must not bend the window."""
    with serving({}) as (elsewhere, asked_elsewhere):
        pages = {
            "/": (200, HOSTILE.replace("ELSEWHERE", elsewhere)),
            "/redirected": (302, f"{elsewhere}/redirect"),
            "/done": (200, ""),
        }
        with serving(pages) as (own, asked):
            desk.link = own + "/"
            show(window)
            within(15, lambda: "/done" in asked, "the page's last try")
            ways = ["assigned", "framed", "redirect"]  # opened: nobody clicked
            within(5, lambda: len(desk.browsed) >= len(ways), "the browser")
            assert "/redirected" in asked
    assert asked_elsewhere == []
    assert sorted(desk.browsed) == sorted(f"{elsewhere}/{way}" for way in ways)


def test_a_browser_is_asked_for_addresses_of_the_web_only(
    desk: WindowDesk, window: WindowHandlers, caplog: pytest.LogCaptureFixture
) -> None:
    for address in ("file:///etc/passwd", "javascript:x", "--help", ""):
        window._browse(address)
    assert desk.browsed == []
    assert "none for a browser" in caplog.text
    window._browse("https://example.com/")
    assert desk.browsed == ["https://example.com/"]


def test_a_page_that_dies_comes_back_but_not_for_ever(
    desk: WindowDesk, window: WindowHandlers, eyes: Eyes
) -> None:
    show(window)
    painted(eyes)
    pid = pid_of(window)

    def page() -> psutil.Process | None:
        return next((p for p in tree(pid) if "WebProcess" in p.name()), None)

    first = page()
    assert first is not None
    first.kill()
    within(10, lambda: len(desk.invited) == 2, "a new link")
    within(10, lambda: (now := page()) is not None and now.pid != first.pid, "a new page")
    painted(eyes)
    assert pid_of(window) == pid
    for _ in range(3):
        window._renew(True)
    within(5, lambda: window.pid is None, "its end")


def test_a_program_that_is_gone_takes_the_window_with_it_and_brings_it_back(
    desk: WindowDesk, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(process_tree.MARK, "0123.4567")  # as under a guard
    desk.extra = {process_tree.MARK: "0123.4567"}
    file = desk.data / "window.json"
    first = desk.handlers()
    show(first)
    processes = tree(pid_of(first))
    assert first._child is not None
    first._child._process._child.stdin.close()  # type: ignore[union-attr]
    gone(processes)
    assert read(file).open_under == "0123.4567"
    # under another guard, or under none, it stays closed
    for other in ("", "0123", "89ab"):
        desk.extra = {process_tree.MARK: other}
        quiet = desk.handlers()
        quiet.come_back()
        assert not [t for t in threading.enumerate() if t.name == "window"]
        assert quiet.pid is None
    desk.extra = {process_tree.MARK: "0123.4567"}
    second = desk.handlers()
    second.come_back()
    try:
        within(15, eyes.window, "the window, back")
    finally:
        second.close()
    assert read(file).open_under == ""  # closed in order
    third = desk.handlers()
    show(third)
    processes = tree(pid_of(third))
    eyes.close_window()
    gone(processes)
    assert read(file).open_under == ""  # closed by the person


# -- without a window ------------------------------------------------------------------------


def test_without_a_web_view_the_browser_opens_and_the_reason_is_said_once(
    desk: WindowDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.find = lambda _: web_view.MISSING
    window = desk.handlers()
    said = show(window, "/logs")
    assert "sudo apt-get install python3-gi gir1.2-webkit2-4.1" in said
    assert web_view.MISSING.what in caplog.text
    assert (show(window), window.pid) == ("", None)
    assert len(desk.browsed) == 2
    assert "to=/logs" in desk.browsed[0]
    desk.open_in = "window"
    assert (show(window), show(window)) == (said, said)
    desk.open_in = "browser"
    assert show(window) == ""
    assert len(desk.browsed) == 5


def test_without_a_desktop_or_a_browser_it_is_refused(desk: WindowDesk) -> None:
    with pytest.raises(Problem) as refused:
        show(desk.handlers(desktop=False))
    assert refused.value.reason == NO_DESKTOP
    desk.can_browse, desk.open_in = False, "browser"
    with pytest.raises(Problem) as refused:
        show(desk.handlers())
    assert refused.value.reason == NO_BROWSER


def test_a_screen_that_is_not_there_costs_the_window_not_the_dashboard(desk: WindowDesk) -> None:
    desk.display = ":4095"
    looked: list[float] = []
    now = 100.0

    def find(environment: Mapping[str, str]) -> web_view.WebView | Reason:
        looked.append(now)
        return web_view.find(environment)

    desk.find = find
    window = desk.handlers(clock=lambda: now)
    said = show(window)
    assert said.startswith("The window could not be shown:")
    assert (len(desk.browsed), window.pid) == (1, None)
    now = 200.0
    assert show(window) == ""
    assert (len(desk.browsed), looked) == (2, [100.0])  # not tried again at once
    now = 300.0
    assert show(window) == ""
    assert (len(desk.browsed), looked) == (3, [100.0, 300.0])


def test_a_toolkit_that_hangs_is_given_up(
    desk: WindowDesk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gi").mkdir()
    (tmp_path / "gi" / "__init__.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr("nexus_tray.app.window_child.FIRST_SECONDS", 1.0)
    desk.find = lambda _: web_view.WebView(str(tmp_path))
    window = desk.handlers()
    assert "nothing was on the screen within 1 s" in show(window)
    assert len(desk.browsed) == 1
    within(10, lambda: window.pid is None, "its end")


STRANGE = """import sysconfig
sysconfig.get_config_var = lambda _: 'cpython-38'
def require_version(*_): pass"""


@pytest.mark.parametrize(
    ("packages", "found"),
    [
        ("raise ImportError", web_view.MISSING),
        ("import time; time.sleep(60)", web_view.MISSING),
        ("def require_version(*_): raise ValueError", web_view.MISSING),
        ("def require_version(*_): pass", "fits"),
        (STRANGE, "strange"),
    ],
)  # fmt: skip
def test_the_web_view_is_found_by_asking_each_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: str, found: object
) -> None:
    folder = tmp_path / "packages"
    (folder / "gi").mkdir(parents=True)
    (folder / "gi" / "__init__.py").write_text(packages + "\n")
    (tmp_path / "bin").mkdir()
    other = tmp_path / "bin" / "python3"
    other.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} -c "$3"\n')
    other.chmod(0o755)
    monkeypatch.setattr(web_view, "PATIENCE", 2.0)
    monkeypatch.setattr(os, "defpath", "")
    answer = web_view.find({"PATH": str(tmp_path / "bin")})
    if found == "fits":
        assert answer == web_view.WebView(str(folder))
    elif found == "strange":
        assert isinstance(answer, Reason)
        assert "another Python (cpython-38)" in answer.what
    else:
        assert answer == found
