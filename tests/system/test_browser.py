"""What the person opens through us is theirs: it has the address, not our mark, and outlives us."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nexus_tray.system import browser, process_tree

ROOT = Path(__file__).parents[2]
ADDRESS = "https://example.org/?a=b c#d"
RUN = "import sys; from nexus_tray.system import guard; sys.exit(guard.run(sys.argv[1:]))"
PROGRAM = """
import os, subprocess, sys
from nexus_tray.system import browser
subprocess.Popen(["sleep", "600"])
assert browser.open_address(sys.argv[1], os.environ)
"""
# The browser's own child has an environment of its own, as sandboxed ones do.
SCRIPT = """#!/bin/sh
printf '%s' "$1" > {folder}/address
env > {folder}/environment
env -i /bin/sleep 600 &
echo $! > {folder}/child
echo $$ > {folder}/pid
exec /bin/sleep 600
"""


def script(folder: Path, text: str) -> dict[str, str]:
    made = folder / "browser"
    made.write_text(text.format(folder=folder))
    made.chmod(0o755)
    return {**os.environ, "BROWSER": f"{made} %s &", process_tree.MARK: "aa.bb"}


def pid_in(path: Path) -> int:
    end = time.monotonic() + 20
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end, f"no {path.name}"
        time.sleep(0.01)
    return int(path.read_text())


@pytest.mark.parametrize("way", ["orderly", "crash"])
def test_the_browser_outlives_the_program_and_nothing_else_does(tmp_path: Path, way: str) -> None:
    environment = {**script(tmp_path, SCRIPT), "PYTHONPATH": str(ROOT)}
    program = PROGRAM + ("import signal; signal.pause()" if way == "orderly" else "os._exit(78)")
    made = subprocess.Popen(
        [sys.executable, "-c", RUN, sys.executable, "-c", program, ADDRESS], env=environment
    )
    mine = [pid_in(tmp_path / "pid"), pid_in(tmp_path / "child")]
    try:
        if way == "orderly":
            below = process_tree.children(made.pid)
            assert below
            made.terminate()
        made.wait(20)
        assert [psutil.pid_exists(pid) for pid in mine] == [True, True]
        if way == "orderly":
            assert not [each for each in below if process_tree.running(each)]
        assert (tmp_path / "address").read_text() == ADDRESS
        said = (tmp_path / "environment").read_text()
        assert f"{process_tree.MARK}=" not in said
        assert f"{process_tree.SPARED}=1" in said
    finally:
        for pid in mine:
            psutil.Process(pid).kill()


def test_what_starts_below_a_browser_of_ours_is_guarded_all_the_same(tmp_path: Path) -> None:
    """A terminal in it may start us again; the mark that spares must not spare all that runs."""
    pid = tmp_path / "pid"
    program = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "os._exit(78)"
    )
    environment = {**process_tree.spared(os.environ), "PYTHONPATH": str(ROOT)}
    made = subprocess.Popen(
        [sys.executable, "-c", RUN, sys.executable, "-c", program, str(pid)], env=environment
    )
    assert made.wait(20) == 78
    assert not psutil.pid_exists(pid_in(pid))


def test_no_browser_is_said(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "BROWSER": str(tmp_path / "none") + " %s"}
    assert browser.open_address(ADDRESS, environment) is False


def test_a_command_that_stays_counts_as_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "PATIENCE", 0.3)
    environment = script(tmp_path, "#!/bin/sh\necho $$ > {folder}/pid\nexec sleep 600\n")
    environment["BROWSER"] = environment["BROWSER"].removesuffix(" &")
    assert browser.open_address(ADDRESS, environment) is True
    psutil.Process(pid_in(tmp_path / "pid")).kill()
