"""What a service looks like to the supervisor, and what it tells back.

Owns the inputs of the machine and the `Driver` protocol. Pure declarations; the drivers
themselves live in layer 3. A *run* is one life of a service's process, numbered from 1;
inputs that name an older run are ignored, so a late report can do no harm.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from nexus_tray.model import Desired, Facts, Reason


class Cause(Enum):
    """Why a run ended, which decides what comes next.

    CRASH: back off, and give up when it loops. FATAL: retrying cannot cure it (a missing
    program, a refused token). NETWORK: retry for ever. LIMITED: the other side asked to
    be left alone (429); retry for ever, slowly.
    """

    CRASH = "crash"
    FATAL = "fatal"
    NETWORK = "network"
    LIMITED = "limited"


@dataclass(frozen=True)
class Failure:
    """A run's unwanted end. `retry_after`: seconds the other side asked to wait, if any."""

    cause: Cause
    reason: Reason
    retry_after: float | None = None


@dataclass(frozen=True)
class Wish:
    """The user wants the service running or stopped. Also clears FAILED when RUNNING."""

    desired: Desired


@dataclass(frozen=True)
class Hold:
    """The service may not run now, and why (None: it may). The wish stays as it is."""

    reason: Reason | None


@dataclass(frozen=True)
class Restart:
    """End the present run and start another; leaves FAILED and forgets past crashes."""


@dataclass(frozen=True)
class Hurry:
    """This machine woke, or is on another network: what waits for the network tries at once,
    and what runs is probed at once."""


@dataclass(frozen=True)
class Tick:
    """Time has passed; nothing else happened."""


@dataclass(frozen=True)
class Probed:
    """The answer to a probe. No reason: ready.

    `blame`: the failure counts as a strike against the run, and enough strikes end it.
    A tunnel that lost the network is unwell without blame: killing it cures nothing.
    `up`: it has started, though something is amiss (`reason`): waiting longer for its start
    would change nothing.
    """

    run: int
    reason: Reason | None = None
    blame: bool = True
    up: bool = False


@dataclass(frozen=True)
class Exited:
    """A run is over: its process *and every descendant* are gone. None: as was asked."""

    run: int
    failure: Failure | None = None


@dataclass(frozen=True)
class Observed:
    """Facts measured of a run. Fields that are None leave what was known."""

    run: int
    facts: Facts


Input = Wish | Hold | Restart | Hurry | Tick | Probed | Exited | Observed


class Report(Protocol):
    """How a driver answers: from any thread, never blocking."""

    def __call__(self, item: Probed | Exited | Observed, /) -> None:
        """Post one input for this driver's service."""


class Driver(Protocol):
    """Carries out the machine's effects for one service.

    The supervisor calls these from its own thread; each returns within 50 ms and does
    what is slow in a thread of its own. Every `start` is followed by exactly one `Exited`
    of that run, whatever happens; every `probe` by exactly one `Probed` or an `Exited`,
    within the probe's own time limit. `stop` and `kill` may come at any moment after
    `start`, more than once, and for a run that is over; they must then do nothing.
    """

    def start(self, run: int, report: Report, /) -> None:
        """Begin run number `run`."""

    def probe(self, run: int, /) -> None:
        """Find out whether the run is ready."""

    def stop(self, run: int, /) -> None:
        """End the run in order: ask, wait its grace, then end the descendant set."""

    def kill(self, run: int, /) -> None:
        """End the run at once, descendants included."""
