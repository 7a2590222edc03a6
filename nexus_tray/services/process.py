"""A child process that ends completely: it, and everything it started.

Owns spawning, the exit, stopping and killing; `services.pipes` owns the output and
`system.process_tree` the descendant set. Each child has a few daemon threads: one waits
for the exit and tidies up, the pipes have theirs, and one more lives while a stop lasts.
"""

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

from nexus_tray.services.pipes import PIPE_SIZE, Limits, OnLine, Output
from nexus_tray.system import process_tree

log = logging.getLogger(__name__)

if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _CREATION_FLAGS = 0

LEFT_BEHIND_GRACE = 1.0
"""Seconds that descendants get between TERM and KILL once the child itself has ended."""

DRAIN = 2.0
"""Seconds to wait for the rest of the output once nobody of ours can write any more."""

KILL_AGAIN = 0.25
"""Seconds between two rounds of KILL against a tree that is still there."""


class ChildProcess:
    """One child, started at once, in a session of its own, with no input unless `feed`.

    `env` is the whole environment it gets, plus the mark by which its tree is found.
    Raises OSError when it cannot be started (FileNotFoundError: no such program or
    folder; PermissionError: not executable).

    `on_line(stream, text)`: see `services.pipes`; from one thread. `on_exit(code)`:
    exactly once, from another thread, when the child *and every descendant* are gone and
    the output was read to its end or given up; negative is the signal that ended it. It
    may come before the constructor has returned. `on_ended()`: before that, as soon as the
    child itself has ended and its ports are free for anybody. All methods may be called at any time
    from any thread, never block, and do nothing once the child is over.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path | str,
        *,
        on_line: OnLine,
        on_exit: Callable[[int | None], None],
        on_ended: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
        feed: bool = False,
    ) -> None:
        self._on_exit = on_exit
        self._on_ended = on_ended
        self._mark = process_tree.new_mark(os.environ.get(process_tree.MARK))
        self._changed = threading.Condition()
        self._ended = False  # the child itself has exited (or been killed)
        self._over = False  # the whole tree is gone
        self._kill_at: float | None = None
        self._known: set[process_tree.Identity] = set()
        self._child = subprocess.Popen(
            list(argv),
            env={**env, process_tree.MARK: self._mark},
            cwd=cwd,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pipesize=PIPE_SIZE,
            start_new_session=True,
            creationflags=_CREATION_FLAGS,
        )
        self.pid = self._child.pid
        # nobody has waited for it yet, so the pid is its own, even if it is over already
        self._root = process_tree.identify(self.pid) or (self.pid, 0.0)
        name = Path(argv[0]).name
        self._output = Output(
            _pipes(self._child),
            on_line,
            limits or Limits(),
            name,
        )
        threading.Thread(target=self._follow, name=f"{name} exit", daemon=True).start()

    def tell(self, line: str) -> bool:
        """Give the child a line of input; False if it takes none (over, or it does not read)."""
        pipe = self._child.stdin
        if pipe is None or self._ended:
            return False
        data = line.encode() + b"\n"
        try:
            os.set_blocking(pipe.fileno(), False)
            return pipe.write(data) == len(data)  # lines are shorter than the pipe is long
        except (OSError, ValueError):  # it ended, or closed its input
            return False

    @property
    def dropped(self) -> int:
        """Lines of output that were not kept, so far."""
        return self._output.dropped

    @property
    def over(self) -> bool:
        """Whether the child and every descendant are gone."""
        return self._over

    @property
    def stopped(self) -> bool:
        """Whether somebody has stopped the child (SIGSTOP), so that it does nothing at all."""
        try:
            return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)
        except psutil.Error:
            return False

    def processes(self) -> set[process_tree.Identity]:
        """The child and its descendants as they run now. Takes 2-20 ms."""
        return process_tree.members(self._root, self._mark, self._known)

    def stop(self, grace: float) -> None:
        """Ask the child to end (TERM to it alone); after `grace` seconds kill its tree.

        Once the child has ended, what it left behind gets TERM and soon KILL. A further
        call can only bring the end nearer.
        """
        self._end_by(time.monotonic() + grace)

    def kill(self) -> None:
        """Kill the child and its whole tree now."""
        self._end_by(time.monotonic())

    def _end_by(self, moment: float) -> None:
        with self._changed:
            first = self._kill_at is None
            if self._over or (self._kill_at is not None and self._kill_at <= moment):
                return
            self._kill_at = moment
            self._changed.notify_all()
        if first:
            threading.Thread(target=self._see_to_end, name="stop child", daemon=True).start()

    def _see_to_end(self) -> None:
        """The thread of a stop: ask, wait, kill; what is left after that is `_follow`'s."""
        self._remaining()  # while parents still tell who is whose
        with self._changed:
            if self._seconds_left() > 0 and not self._ended:
                _ask(self._root)
            while not self._ended and self._seconds_left() > 0:
                self._changed.wait(self._seconds_left())
        while not self._ended:
            process_tree.signal_all(self._remaining(), process_tree.KILL)
            with self._changed:
                self._changed.wait_for(lambda: self._ended, KILL_AGAIN)

    def _remaining(self) -> set[process_tree.Identity]:
        """Who is left, remembered: when TERM ends a parent, who hides below it is still known."""
        found = self.processes()
        self._known |= found
        return found

    def _seconds_left(self) -> float:
        return float("inf") if self._kill_at is None else self._kill_at - time.monotonic()

    def _follow(self) -> None:
        """The thread of the child's whole life: wait, end what is left, drain, tell."""
        _wait_but_keep_pid(self._child)
        self._on_ended()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        in_time = self._seconds_left() > 0
        left = process_tree.end(self._remaining, LEFT_BEHIND_GRACE if in_time else 0.0)
        if left:
            log.error("Processes of child %d could not be ended: %s", self.pid, sorted(left))
        code = self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()
        if not self._output.finish(DRAIN):
            log.warning("The output of child %d was given up before its end", self.pid)
        with self._changed:
            self._over = True
        try:
            self._on_exit(code)
        except Exception:
            log.exception("The end of child %d could not be handled", self.pid)


def _pipes(child: "subprocess.Popen[bytes]") -> dict[str, IO[bytes]]:
    both = {"stdout": child.stdout, "stderr": child.stderr}
    return {name: pipe for name, pipe in both.items() if pipe is not None}


def _ask(root: process_tree.Identity) -> None:
    if sys.platform == "win32":  # untested: reaches the group that the child leads
        with contextlib.suppress(OSError):
            os.kill(root[0], signal.CTRL_BREAK_EVENT)
        return
    process_tree.signal_all({root}, signal.SIGTERM)


def _wait_but_keep_pid(child: "subprocess.Popen[bytes]") -> None:
    """Return when the child has exited; where it can be, before its pid becomes free.

    Until it is waited for, a zombie holds its pid, and with it the number of its session:
    what else is in that session is then surely its descendant.
    """
    if sys.platform == "linux":
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    elif sys.platform == "win32":
        child.wait()
    else:  # macOS and the BSDs; untested
        with contextlib.closing(select.kqueue()) as queue:
            watch = select.kevent(
                child.pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT
            )
            with contextlib.suppress(ProcessLookupError):  # it is a zombie already
                queue.control([watch], 1, None)
