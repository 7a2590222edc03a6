"""Is OpenCode there, of a version we know, well, and closed to everybody but us?

Owns these looks. Imports this room, psutil and layer 1. Each may block for its time limit;
`app.doctor` calls each in a thread of its own. Nothing is changed by looking.
"""

import http.client
import ipaddress
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.services.binaries import version_of
from nexus_tray.services.opencode_client import OpenCodeClient
from nexus_tray.services.opencode_program import VERSION
from nexus_tray.services.opencode_versions import detect
from nexus_tray.services.shelf import key

KNOWN = "1."
"""Versions that begin so are measured (services/opencode_versions.py)."""

LIMIT = 4.0
DOWN = "not asked: OpenCode is not running"


def program(find: Callable[[], Path], running: str | None) -> Finding:
    """Whether the program is there. `running`: the version that runs now, if one does."""
    try:
        path = find()
    except Problem as problem:
        return bad(problem.reason)
    version = running or version_of(path)
    if version is None:
        return bad(_reason("does-not-run", f"{path} does not say its version.", CANNOT_RUN, RUN_IT))
    if not version.startswith(KNOWN):
        what = f"OpenCode {version} is not a version that Nexus Tray knows."
        return warning(_reason("version-unknown", what, UNKNOWN_VERSION, USE_KNOWN))
    if key(version)[:2] < key(VERSION)[:2]:
        what = f"OpenCode {version} is older than {VERSION}, with which Nexus Tray is tested."
        return warning(_reason("old", what, OLD, f"Install OpenCode {VERSION} or newer."))
    return good(f"{version}, {path}")


def health(upstream: Upstream | None, limit: float = LIMIT) -> Finding:
    """Whether it answers, and can read its configuration."""
    if upstream is None:
        return unknown(DOWN)
    client = OpenCodeClient(upstream)
    try:
        detected = detect(client, timeout=limit)
    except Problem as problem:
        return bad(problem.reason)
    if not detected.api.config:
        return unknown("it answers; this version's configuration cannot be asked for")
    try:
        client.get(detected.api.config, msgspec.Raw, timeout=limit)
    except Problem as problem:
        what = f"OpenCode runs but does not give its configuration: {problem.reason.what}"
        return bad(_reason("config-unreadable", what, NO_CONFIG, "See its log: nexus-tray logs"))
    return good("answers, and its configuration can be read")


def closed(upstream: Upstream | None, pid: int | None, limit: float = LIMIT) -> Finding:
    """Whether nobody reaches it past us: it listens on loopback, and asks for its password."""
    if upstream is None:
        return unknown(DOWN)
    try:
        status = _without_password(upstream, limit)
    except (OSError, http.client.HTTPException) as error:
        return unknown(f"a request without its password got no answer: {error}")
    if status != 401:
        what = f"OpenCode answered a request without its password (status {status})."
        return bad(_reason("open", what, OPEN, RESTART), command=RESTART_COMMAND)
    listening = None if pid is None else addresses(pid)
    if not listening:
        return unknown("asks for its password; where it listens could not be read")
    public = [name for name in listening if not ipaddress.ip_address(name).is_loopback]
    if public:
        what = f"OpenCode listens on {', '.join(public)}, where others can reach it."
        return bad(_reason("not-loopback", what, OPEN, RESTART), command=RESTART_COMMAND)
    return good("listens on this computer only, and refuses who has no password (401)")


def ripgrep(search_path: str, own: Path) -> Finding:
    """Whether `rg` is there, which OpenCode searches files with. `own`: OpenCode's own copy."""
    found = shutil.which("rg", path=search_path)
    if found:
        return good(found)
    if own.is_file():
        return good(f"{own} (OpenCode's own)")
    what = "The program rg (ripgrep) is not installed."
    meaning = "OpenCode searches files with it, and fetches it itself when it first needs it."
    cure = "Where the network does not allow that, install the package ripgrep."
    return warning(_reason("no-ripgrep", what, meaning, cure))


def addresses(pid: int) -> list[str]:
    """The addresses at which a process accepts TCP connections; empty: not to be read."""
    try:
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return []
    return sorted({entry.laddr.ip for entry in sockets if entry.status == psutil.CONN_LISTEN})


def _without_password(upstream: Upstream, limit: float) -> int:
    connection = http.client.HTTPConnection(upstream.host, upstream.port, timeout=limit)
    try:
        connection.request("GET", "/config")
        return connection.getresponse().status
    finally:
        connection.close()


CANNOT_RUN = "It may be damaged, or made for another kind of computer."
RUN_IT = "Run it in a terminal with --version to see what it says, or install OpenCode again."
UNKNOWN_VERSION = "Its page works through the gateway; its sessions and questions may not be shown."
OLD = "It may lack corrections, and parts of what we show."
USE_KNOWN = "Nexus Tray is tested with 1.18.33; install that if something is missing."
NO_CONFIG = "Projects cannot be opened until that is put right."
OPEN = "Programs or people could use it without signing in."
RESTART_COMMAND = "nexus-tray restart opencode"
RESTART = f"Start it anew by Nexus Tray, and tell us of this: {RESTART_COMMAND}"


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(
        code=f"doctor-opencode-{code}", hop=Hop.OPENCODE, what=what, meaning=meaning, cure=cure
    )
