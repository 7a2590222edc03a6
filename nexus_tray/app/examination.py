"""How an examination runs: every check at once, each with its own limit, none able to stop
the rest.

Owns the threads and the time limits; which checks there are is `app.doctor`'s. A check that
hangs keeps its thread (a daemon's: it ends with the program), and until it comes back it is
not begun again. Any thread may call `Examiner.run`; who calls while one runs gets the same.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nexus_tray.finding import Finding, told, unknown
from nexus_tray.model import Problem
from nexus_tray.reports import Check, Examination

logger = logging.getLogger(__name__)

LIMIT = 5.0
LONGEST = 12.0
"""Seconds within which the whole is over, whatever hangs."""


@dataclass(frozen=True)
class Look:
    """One check: `find` blocks as long as it likes, `limit` says how long is waited; `repair`
    names what we could do about what was found (pure; empty: nothing)."""

    code: str
    title: str
    find: Callable[[], Finding]
    limit: float = LIMIT
    repair: Callable[[Finding], str] = lambda _: ""


class _Under:
    """A look under way."""

    def __init__(self, look: Look) -> None:
        self.finding: Finding | None = None
        self._look = look
        self._thread = threading.Thread(target=self._work, name=f"check {look.code}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.finding = self._look.find()
        except Problem as problem:
            self.finding = unknown(problem.reason.what, problem.reason)
        except Exception as error:
            logger.exception("The check “%s” failed.", self._look.code)
            self.finding = unknown(f"could not be looked at ({type(error).__name__}); see the log")

    def wait(self, until: float) -> Finding | None:
        self._thread.join(max(0.0, until - time.monotonic()))
        return self.finding

    def hangs(self) -> bool:
        return self._thread.is_alive()


class Examiner:
    """Runs looks, one examination at a time. `home` is shown as ~."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._hanging: dict[str, _Under] = {}
        self._done = threading.Condition(self._lock)
        self._runs = 0
        self._running = False
        self._last: Examination | None = None

    def run(self, make: Callable[[], Sequence[Look]]) -> Examination:
        """Examine now; or, while another does, wait for what that finds."""
        with self._done:
            mine = self._runs + 1
            while self._running:
                self._done.wait()
                if self._runs >= mine and self._last is not None:
                    return self._last
            self._running = True
        result = None
        try:
            result = self._examine(make())
            return result
        finally:
            with self._done:
                self._running = False
                if result is not None:
                    self._last, self._runs = result, self._runs + 1
                self._done.notify_all()

    def _examine(self, looks: Sequence[Look]) -> Examination:
        began = time.monotonic()
        at = time.time()
        under = {look.code: self._begin(look) for look in looks}
        checks = []
        for look in looks:
            one = under[look.code]
            limit = min(look.limit, LONGEST)
            finding = one.wait(began + limit) if one is not None else None
            if finding is None:
                finding = unknown(f"did not answer within {limit:.0f} s")
                if one is not None:
                    self._hanging[look.code] = one
            checks.append(_check(look, told(finding, self._home), look.repair(finding)))
        return Examination(at=at, checks=tuple(checks))

    def _begin(self, look: Look) -> _Under | None:
        """Begin it, unless it has not come back from an earlier examination."""
        before = self._hanging.get(look.code)
        if before is not None and before.hangs():
            return None
        self._hanging.pop(look.code, None)
        return _Under(look)


def _check(look: Look, finding: Finding, repair: str) -> Check:
    return Check(
        code=look.code,
        title=look.title,
        state=finding.state,
        text=finding.text,
        reason=finding.reason,
        command=finding.command,
        repair=repair,
    )
