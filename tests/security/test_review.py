"""Holes that a hostile review of the whole found, each as the attack that once worked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nexus_tray.gateway.bounds import Bounds
from tests.gateway.doubles import HOST, eventually, house, tunnel_request

ROOT = Path(__file__).parent.parent.parent
OURS = f"Origin: https://{HOST}"


def test_a_folder_brings_no_code_of_its_own(tmp_path: Path) -> None:
    """A cloned repository has a `msgspec.py` in it, and `nexus-tray run` is typed there: with
    `-m` alone, Python looks into the present folder first (CWE-427)."""
    marker = tmp_path / "ran"
    for name in ("msgspec", "argparse", "platformdirs"):
        (tmp_path / f"{name}.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    for words in (["run", "--no-such-option"], ["status"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "nexus_tray", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "NEXUS_TRAY_HOME": str(tmp_path / "home")},
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode in (2, 3), done.stderr
        assert not marker.exists(), words


@pytest.mark.parametrize("script", ["run", "setup.sh"])
def test_no_script_of_ours_looks_into_the_present_folder(script: str) -> None:
    text = (ROOT / "build" / script).read_text(encoding="utf-8")
    calls = re.findall(r'(?:python"?|PYTHON"|candidate") +(-\S*.*)', text)
    assert calls
    assert [call for call in calls if not re.match(r"-[PI]\b", call)] == []


SLOW = tunnel_request("POST", "/_nexus/sign-in", OURS, "Content-Length: 900", cookie=None)


def test_strangers_who_dawdle_keep_nobody_out(tmp_path: Path) -> None:
    """As many slow bodies as there are places: the next visitor takes the oldest one's."""
    with house(tmp_path, bounds=Bounds(connections=20)) as home:
        begun = home.tunnel()
        begun.send(tunnel_request("GET", "/x"))
        assert begun.answer().status == 200
        strangers = [home.tunnel() for _ in range(40)]
        for one in strangers:
            one.try_send(SLOW + b"password=")
        eventually(lambda: home.gateway.counters().connections == 20)
        assert home.ask(tunnel_request("GET", "/x")).status == 200
        assert strangers[0].closed()
        begun.send(tunnel_request("GET", "/x"))
        assert begun.answer().status == 200, "whoever was signed in keeps his place"


LIMITED = """
import resource, sys
hard = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
from nexus_tray.system import descriptors
print(descriptors.visitors(4096), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
@pytest.mark.parametrize(("hard", "told"), [(20_000, "4096 16384"), (1024, "384 1024")])
def test_visitors_cannot_take_all_descriptors(hard: int, told: str) -> None:
    """A thousand of them took the whole program out of service at the usual limit of 1024."""
    command = [sys.executable, "-c", LIMITED, str(hard)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told
