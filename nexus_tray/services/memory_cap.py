"""OpenCode over the memory a person allows it: when it is started anew, and what is said.

Owns the decision, a pure function of looks and times, and its words. Imports the model and
OpenCode's reasons. No clock: `now` is an argument, in monotonic seconds. Any thread.

OpenCode is known to grow (FACTS.md: 320 MB idle, others report 18 GB). Starting it anew ends
turns, questions that wait and terminals, so that is done only when there are none, and has been
for a while. A cap below what a fresh OpenCode needs would start it anew for ever: that is said
instead.
"""

from dataclasses import dataclass, replace
from enum import Enum

from nexus_tray.model import Activity, Reason, SessionState
from nexus_tray.services.opencode_faults import reason

MEGABYTE = 1024 * 1024
GIGABYTE = 1024 * MEGABYTE
BUSY = (SessionState.WORKING, SessionState.WAITING, SessionState.UNKNOWN)


@dataclass(frozen=True)
class Times:
    """In seconds. `quiet`: how long nothing must have worked; `life`: the least that an OpenCode
    runs before it is started anew; `first`: while a fresh one that has not worked shows what it
    needs by itself."""

    quiet: float = 60.0
    life: float = 600.0
    first: float = 120.0


@dataclass(frozen=True)
class Look:
    """What is so now. `pid`: OpenCode's while it runs, else None. `memory`: its bytes; `cap`: those
    it may have (0: any). `busy`: whether a session works or waits; None: not known."""

    pid: int | None
    memory: int | None
    cap: int
    busy: bool | None


@dataclass(frozen=True)
class State:
    """What is remembered of one OpenCode process, from `since` on."""

    pid: int | None = None
    since: float = 0.0
    worked: bool = False
    quiet_since: float | None = None
    cap: int = 0
    too_small: bool = False


class Verdict(Enum):
    """What follows. WAITS: over the cap, and not to be disturbed now. TOO_SMALL: the cap is less
    than it needs, so starting it anew cures nothing."""

    WELL = "well"
    WAITS = "waits"
    TOO_SMALL = "too small"
    RECYCLE = "recycle"


def decide(state: State, look: Look, now: float, times: Times) -> tuple[State, Verdict]:
    """What is remembered next, and what follows now."""
    state = _watch(state, look, now)
    if look.pid is None or look.memory is None or not look.cap or look.memory <= look.cap:
        return state, Verdict.WELL
    if not state.worked and now - state.since <= times.first:
        state = replace(state, too_small=True)
    if state.too_small:
        return state, Verdict.TOO_SMALL
    quiet = state.quiet_since is not None and now - state.quiet_since >= times.quiet
    if quiet and now - state.since >= times.life:
        return state, Verdict.RECYCLE
    return state, Verdict.WAITS


def disturbed(state: State) -> State:
    """Somebody has a terminal open: the quiet begins anew."""
    return replace(state, quiet_since=None)


def busy(activity: Activity | None) -> bool | None:
    """Whether something would be cut off; None: not known."""
    if activity is None:
        return None
    return bool(activity.questions) or any(one.state in BUSY for one in activity.sessions)


def _watch(state: State, look: Look, now: float) -> State:
    if look.pid != state.pid:
        state = State(pid=look.pid, since=now, cap=look.cap)
    if look.cap != state.cap:
        state = replace(state, cap=look.cap, too_small=False)
    if look.busy is False:
        quiet_since = now if state.quiet_since is None else state.quiet_since
        return replace(state, quiet_since=quiet_since)
    return replace(state, quiet_since=None, worked=state.worked or look.busy is True)


def waits(memory: int, cap: int) -> Reason:
    """Over the cap, and something works."""
    return reason(
        "over-memory",
        f"OpenCode holds {amount(memory)} of memory, more than the {amount(cap)} you allow it.",
        "It is started anew as soon as no session works or waits and no terminal is open.",
    )


def too_small(memory: int, cap: int) -> Reason:
    """The cap is less than it needs by itself."""
    return reason(
        "memory-too-small",
        f"OpenCode needs {amount(memory)} of memory by itself, more than the {amount(cap)} you"
        " allow it.",
        "Starting it anew would change nothing, so it goes on as it is.",
        "Allow it more: the setting opencode.memory_megabytes.",
    )


def recycled(memory: int, cap: int) -> Reason:
    """It was started anew."""
    return reason(
        "recycled",
        f"OpenCode was started anew, for it held {amount(memory)} of memory, more than the"
        f" {amount(cap)} you allow it.",
        "Nothing worked at that time. Its sessions are all there.",
    )


def amount(size: int) -> str:
    """Bytes as people say them, in the units of the setting."""
    if size >= 10 * GIGABYTE:
        return f"{size / GIGABYTE:.0f} GB"
    return f"{size / GIGABYTE:.1f} GB" if size >= GIGABYTE else f"{size // MEGABYTE} MB"
