"""What the program needs and how that stands: checks, programs, the first start, a bundle."""

from enum import StrEnum

from nexus_tray.model import Reason, Value


class CheckState(StrEnum):
    """What a check found; WARNING: it works, but something should be done."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"


class Check(Value, frozen=True):
    """One thing examined: what was looked at, what was found, and why that is not well.

    `command` is what to type to cure it; `repair` is the label of the button that cures it
    (`commands.Repair` with this code). Each is empty where there is none.
    """

    code: str
    title: str
    state: CheckState
    text: str
    reason: Reason | None = None
    command: str = ""
    repair: str = ""


class Examination(Value, frozen=True):
    """Everything that was examined, at one moment, in the order of a request's path."""

    at: float
    checks: tuple[Check, ...] = ()


class Fetch(Value, frozen=True):
    """A program on its way here. `total` is None while the size is not known."""

    done_bytes: int = 0
    total_bytes: int | None = None


class ToolState(Value, frozen=True):
    """One program that we need. `path` None: not found; `reason` says what to do about it.

    `fetchable`: we can get it ourselves; `fetch` is there while we do. `restorable`: the version
    that an update of ours replaced, to which one can go back.
    """

    name: str
    path: str | None = None
    version: str | None = None
    fetchable: bool = False
    fetch: Fetch | None = None
    restorable: str | None = None
    reason: Reason | None = None


class Setup(Value, frozen=True):
    """How far the first start has come. `passed` names the steps that were done or skipped;
    `finished`: the person has been through it, or had everything already."""

    finished: bool
    passed: tuple[str, ...] = ()
    tools: tuple[ToolState, ...] = ()
    directory: str = ""
    password: bool = False


class BundleFile(Value, frozen=True):
    """One file of a support bundle: exactly what it will hold."""

    name: str
    text: str


class Bundle(Value, frozen=True):
    """What whoever helps needs to know, without secrets."""

    at: float
    files: tuple[BundleFile, ...] = ()
