"""A child ends completely, tells so once, and its output arrives whole. Real processes."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.services.pipes import Limits
from nexus_tray.services.process import ChildProcess
from nexus_tray.system import process_tree

PATIENCE = 10.0


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.01)


class Watched:
    """A child with everything it told."""

    def __init__(self, argv: list[str], cwd: Path, limits: Limits | None = None) -> None:
        self.lines: list[tuple[str, str]] = []
        self.codes: list[int | None] = []
        self.done = threading.Event()
        self.child = ChildProcess(
            argv,
            {"PATH": os.environ["PATH"]},
            cwd,
            on_line=lambda stream, text: self.lines.append((stream, text)),
            on_exit=self.exited,
            limits=limits,
        )

    def exited(self, code: int | None) -> None:
        self.codes.append(code)
        self.done.set()

    def text(self, stream: str = "stdout") -> list[str]:
        return [text for name, text in self.lines if name == stream]

    def wait(self, seconds: float = PATIENCE) -> int | None:
        assert self.done.wait(seconds), "on_exit did not come"
        assert len(self.codes) == 1
        return self.codes[0]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    begun: list[Watched] = []

    def start(script: str, limits: Limits | None = None) -> Watched:
        begun.append(Watched(["/bin/sh", "-c", script], tmp_path, limits))
        return begun[-1]

    yield start
    for each in begun:
        each.child.kill()
        each.wait()


Run = Callable[..., Watched]


def pids(watched: Watched, count: int) -> list[process_tree.Identity]:
    until(lambda: len(watched.text()) >= count, "the pids were said")
    found = [process_tree.identify(int(line)) for line in watched.text()[:count]]
    return [each for each in found if each is not None]


def test_exit_code_and_output_of_both_streams(run: Run) -> None:
    watched = run("echo out; echo err >&2; printf 'no end'; exit 7")
    assert watched.wait() == 7
    assert watched.text() == ["out", "no end"]
    assert watched.text("stderr") == ["err"]
    assert watched.child.over


def test_a_child_ended_by_a_signal_tells_it_as_a_negative_code(run: Run) -> None:
    assert run("kill -9 $$").wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("program", "cwd", "error"),
    [
        ("/nowhere/at/all", ".", FileNotFoundError),
        ("/bin/sh", "/nowhere/at/all", FileNotFoundError),
        ("plain", ".", PermissionError),
    ],
)
def test_what_cannot_start_raises(
    tmp_path: Path, program: str, cwd: str, error: type[OSError]
) -> None:
    (tmp_path / "plain").write_text("not a program")
    argv = [str(tmp_path / program)]
    with pytest.raises(error):
        ChildProcess(argv, {}, tmp_path / cwd, on_line=lambda *_: None, on_exit=lambda _: None)


def test_exactly_this_environment_plus_the_mark(tmp_path: Path) -> None:
    watched = Watched([sys.executable, "-c", "import os; print(sorted(os.environ))"], tmp_path)
    watched.wait()
    assert watched.text() == [str(sorted({"PATH", process_tree.MARK, "LC_CTYPE"}))]


def test_no_input_and_a_session_of_its_own(run: Run) -> None:
    watched = run("read line || echo none; echo $$; sleep 60")
    until(lambda: len(watched.text()) == 2, "both lines")
    assert watched.text() == ["none", str(watched.child.pid)]
    assert os.getsid(watched.child.pid) == watched.child.pid


def test_a_child_that_is_fed_hears_each_line_until_it_ends(tmp_path: Path) -> None:
    said: list[str] = []
    over = threading.Event()
    child = ChildProcess(
        ["/bin/sh", "-c", 'while read -r line; do echo "got $line"; done; exit 5'],
        {"PATH": os.environ["PATH"]},
        tmp_path,
        on_line=lambda _, text: said.append(text),
        on_exit=lambda _: over.set(),
        feed=True,
    )
    try:
        assert child.tell("a")
        assert child.tell("ü b")
        until(lambda: said == ["got a", "got ü b"], "both lines")
        child.stop(0)
        assert over.wait(PATIENCE)
        assert not child.tell("c")
    finally:
        child.kill()
    deaf = Watched(["/bin/sleep", "60"], tmp_path)
    assert not deaf.child.tell("nobody reads")
    deaf.child.kill()
    deaf.wait()


def test_stop_asks_and_a_polite_child_ends_at_once(run: Run) -> None:
    watched = run("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: watched.text() == ["up"], "it is up")
    began = time.monotonic()
    watched.child.stop(30)
    assert watched.wait() == 3
    assert time.monotonic() - began < 5
    assert watched.text() == ["up", "bye"]


def test_a_deaf_child_is_killed_after_its_grace(run: Run) -> None:
    watched = run("trap '' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: watched.text() == ["up"], "it is up")
    began = time.monotonic()
    watched.child.stop(0.5)
    assert watched.wait() == -signal.SIGKILL
    assert 0.4 < time.monotonic() - began < 5


def test_kill_shortens_a_stop_and_both_may_be_repeated(run: Run) -> None:
    watched = run("trap '' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: watched.text() == ["up"], "it is up")
    watched.child.stop(600)
    watched.child.stop(900)
    watched.child.kill()
    watched.child.kill()
    assert watched.wait() == -signal.SIGKILL
    watched.child.stop(1)
    watched.child.kill()


def test_a_stopped_child_obeys_too(run: Run) -> None:
    watched = run("trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
    until(lambda: watched.text() == ["up"], "it is up")
    os.kill(watched.child.pid, signal.SIGSTOP)
    watched.child.stop(30)
    assert watched.wait() == 4


DEAF = "setsid sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 0.05; done' &"
HIDDEN = (
    "setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo $$; while :; do /bin/sleep 0.05; done' &"
)


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (DEAF, 1),
        (DEAF + DEAF, 2),
        ("(" + DEAF + ") &", 1),
        ("sh -c 'echo $$; exec sleep 60' &", 1),
    ],
)
def test_a_child_that_ends_by_itself_leaves_nothing(
    run: Run, tmp_path: Path, script: str, count: int
) -> None:
    watched = run(script + " while [ ! -e go ]; do sleep 0.02; done; exit 5")
    left = pids(watched, count)
    (tmp_path / "go").touch()
    assert watched.wait() == 5
    assert len(left) == count
    assert not any(map(process_tree.running, left))


@pytest.mark.parametrize("way", ["stop", "kill"])
@pytest.mark.parametrize("script", [DEAF, HIDDEN, HIDDEN + DEAF])
def test_the_whole_tree_ends_with_the_child(run: Run, script: str, way: str) -> None:
    """OpenCode's tool shells run in sessions of their own and may ignore TERM."""
    watched = run(script + " while :; do sleep 0.05; done")
    left = pids(watched, script.count("setsid"))
    assert left
    watched.child.stop(5) if way == "stop" else watched.child.kill()
    watched.wait()
    assert not any(map(process_tree.running, left))


def test_exit_is_noticed_at_once(run: Run) -> None:
    watched = run("echo up; sleep 60")
    until(lambda: watched.text() == ["up"], "it is up")
    began = time.monotonic()
    os.kill(watched.child.pid, signal.SIGKILL)
    watched.wait()
    assert time.monotonic() - began < 1


def test_what_callbacks_raise_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, over = [], threading.Event()

    def on_line(_stream: str, text: str) -> None:
        lines.append(text)
        if text == "one":
            raise RuntimeError("a bad line")

    def on_exit(_code: int | None) -> None:
        over.set()
        raise RuntimeError("a bad end")

    child = ChildProcess(
        ["/bin/sh", "-c", "echo one; echo two"], {}, tmp_path, on_line=on_line, on_exit=on_exit
    )
    assert over.wait(PATIENCE)
    until(lambda: "a bad end" in caplog.text, "it is logged")
    assert lines == ["one", "two"]
    assert child.over


def test_descriptors_and_threads_return(run: Run) -> None:
    """SECURITY 28, in small: what a child takes, its end gives back."""

    def threads() -> int:
        return sum(each.name.startswith("sh ") for each in threading.enumerate())

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    until(lambda: threads() == 0, "earlier threads ended")
    before = descriptors()
    for _ in range(20):
        run("echo hello; exit 0").wait()
    until(lambda: threads() == 0, "their threads ended")
    assert descriptors() <= before
