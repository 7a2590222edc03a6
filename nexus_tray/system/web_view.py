"""Whether this system has a web view for a window, found by asking.

Owns the search for GTK's and WebKit's Python packages. They come from the system's package
manager and belong to the system's Python; ours is often another (a virtual environment, a
version manager). Those of the same minor version fit, so every Python that is at hand is
asked where its packages are. Imports the model; starts a short process each; any thread.
"""

import logging
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Reason
from nexus_tray.system import itself

logger = logging.getLogger(__name__)

PATIENCE = 6.0
"""Seconds that one Python may take to answer; loading GTK for the first time takes a second."""

ASK = """
import json, os, sys, sysconfig
try:
    import gi
    gi.require_version("Gtk", "3.0")
    try:
        gi.require_version("WebKit2", "4.1")
    except ValueError:
        gi.require_version("WebKit2", "4.0")
    folder = os.path.dirname(os.path.dirname(os.path.abspath(gi.__file__)))
except (ImportError, ValueError):
    folder = ""
print(json.dumps({"tag": sysconfig.get_config_var("SOABI") or "", "folder": folder}))
"""


class Answer(msgspec.Struct, frozen=True):
    """What one Python says: which builds of packages it takes, and where it has GTK's."""

    tag: str
    folder: str


@dataclass(frozen=True)
class WebView:
    """A web view is there. `packages`: the folder to look in last; empty: our own has it."""

    packages: str


def find(environment: Mapping[str, str]) -> WebView | Reason:
    """Where the web view's Python packages are, or why there is no window."""
    if sys.platform != "linux":
        return NOT_HERE
    ours = sysconfig.get_config_var("SOABI")
    strangers = []
    for program in _pythons(environment):
        answer = _ask(program, environment)
        if answer is None or not answer.folder:
            continue
        if answer.tag == ours:
            return WebView("" if program == sys.executable else answer.folder)
        strangers.append(answer.tag)
    return _of_another(strangers[0]) if strangers else MISSING


def _pythons(environment: Mapping[str, str]) -> Iterator[str]:
    """Our own Python, then each other one on the PATH or in the system's places, once."""
    if not itself.is_frozen():  # then there is none
        yield sys.executable
    seen = {Path(sys.executable).resolve()}
    path = os.pathsep.join((environment.get("PATH", ""), os.defpath))
    names = (f"python{sys.version_info.major}.{sys.version_info.minor}", "python3")
    for folder in dict.fromkeys(part for part in path.split(os.pathsep) if part):
        for name in names:
            found = shutil.which(name, path=folder)
            if found and (real := Path(found).resolve()) not in seen:
                seen.add(real)
                yield found


def _ask(program: str, environment: Mapping[str, str]) -> Answer | None:
    try:
        done = subprocess.run(
            [program, "-I", "-c", ASK],
            env={**environment, "NO_AT_BRIDGE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Answer)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        logger.debug("%s does not say whether it has a web view: %s", program, error)
        return None


IN_BROWSER = "The dashboard opens in the browser instead."

MISSING = Reason(
    code="no-web-view",
    hop=Hop.DEVICE,
    what="There is no web view for a window of its own.",
    meaning=IN_BROWSER,
    cure="On Debian or Ubuntu: sudo apt-get install python3-gi gir1.2-webkit2-4.1. Elsewhere"
    " install PyGObject and WebKitGTK 4.1. It is looked for again at the next click.",
)

NOT_HERE = Reason(
    code="no-window-here",
    hop=Hop.DEVICE,
    what="On this system the dashboard has no window of its own.",
    meaning=IN_BROWSER,
)


def _of_another(tag: str) -> Reason:
    return Reason(
        code="web-view-of-another-python",
        hop=Hop.DEVICE,
        what=f"The web view that is installed belongs to another Python ({tag}).",
        meaning=f"Nexus Tray runs with {sysconfig.get_config_var('SOABI')}. {IN_BROWSER}",
        cure="Run Nexus Tray with the system's Python, or install PyGObject for this one.",
    )
