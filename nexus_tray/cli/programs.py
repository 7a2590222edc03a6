"""`nexus-tray programs`: OpenCode and cloudflared, fetched, updated, and the way back.

Owns their words on a terminal. Imports layer 1 and Backend; main thread.
"""

import time
from argparse import Namespace

from nexus_tray.cli.console import Console, Exit, failed
from nexus_tray.commands import FetchTool, RestoreTool
from nexus_tray.core.backend import Backend
from nexus_tray.inert import inert
from nexus_tray.reports import ToolState

LOOK_SECONDS = 0.3


def programs(backend: Backend, _: Namespace, console: Console) -> Exit:
    """Say where they are, and what there is to say of them."""
    tools = backend.setup().tools
    if console.json:
        console.show(tools)
        return Exit.OK
    for tool in tools:
        console.say("\n".join(lines(tool)))
    return Exit.OK


def lines(tool: ToolState) -> list[str]:
    """One program in words."""
    where = f"{tool.version or 'version not known'}, {tool.path}" if tool.path else "not found"
    said = [f"{tool.name}: {inert(where)}"]
    if tool.reason is not None:
        reason = tool.reason
        said += [f"  {inert(part)}" for part in (reason.what, reason.meaning, reason.cure) if part]
    if tool.fetchable:
        said.append(f"  To fetch it: nexus-tray programs fetch {tool.name}")
    if tool.restorable:
        said.append(f"  To go back to {tool.restorable}: nexus-tray programs back {tool.name}")
    return said


def fetch(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Fetch or update one, and wait until it is there; interrupted, it goes on by itself."""
    outcome = backend.submit(FetchTool(name=options.name))
    if not outcome.ok:
        return console.conclude(outcome, "")
    tool = _state(backend, options.name)
    while tool.fetch is not None:
        time.sleep(LOOK_SECONDS)
        tool = _state(backend, options.name)
    if tool.reason is not None and tool.reason.code != "tool-restart":
        return console.refuse(tool.reason)
    if console.json:
        console.show(tool)
    else:
        console.say("\n".join(lines(tool)))
    return Exit.OK


def back(backend: Backend, options: Namespace, console: Console) -> Exit:
    """Go back to the version that the last update replaced."""
    outcome = backend.submit(RestoreTool(name=options.name))
    return console.conclude(outcome, inert(outcome.value) or "Done.")


def _state(backend: Backend, name: str) -> ToolState:
    found = next((tool for tool in backend.setup().tools if tool.name == name), None)
    if found is None:
        raise failed(f"The running program does not know “{inert(name)}”.")
    return found
