"""The guard's hands on Linux and macOS: signals, spawning, reaping.

Signals arrive as bytes in a pipe (`signal.set_wakeup_fd`), so that one `select` waits
for everything and nothing happens inside a handler. On Linux the guard is the subreaper:
every orphan below it becomes its child, however it hid. macOS has no such thing; there
the mark in the environment finds them (untested). One thread, the guard's main one.

The listening socket is made with `_socket`: 60 kB of private memory; `socket`, which wraps
it, costs 370.
"""

import _socket
import os
import select
import signal
import sys
import time
from collections.abc import Sequence

from nexus_tray.system import guard, process_tree

STOP_LIMIT = 20.0
"""Seconds that the program has to stop in order (it allows itself 15) before it is killed."""

SAME_MOMENT = 0.25
"""Seconds within which signals are one event: log-out sends TERM and HUP, both at once."""

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

WAITING = 32
"""Connections that wait for the program while it is down."""

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Ward:
    """The program under guard. `asked`: a signal has told us to end."""

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._kill = False
        self._mark = process_tree.new_mark(os.environ.get(process_tree.MARK))
        self._program: process_tree.Identity = (0, 0.0)
        self._code: int | None = None
        self._alive_pipe = -1
        self._listener = _listen()
        self._life = os.urandom(16).hex()
        _become_subreaper()
        self._signals, wake = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (*ASKING, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)

    def start(self, argv: Sequence[str]) -> None:
        """Start the program in a process group of its own, without input.

        Its own group, for then Ctrl-C in a terminal reaches the guard alone, and the
        program gets each signal once. Raises OSError when it cannot be started.
        """
        theirs, self._alive_pipe = os.pipe()
        os.set_inheritable(theirs, True)
        environment = {
            **os.environ,
            process_tree.MARK: self._mark,
            guard.PIPE: str(theirs),
        }
        environment.pop(process_tree.SPARED, None)  # started below a browser that we had opened
        if self._listener is not None:
            environment[guard.LISTENER] = f"{self._listener.fileno()}:{self._life}"
        try:
            pid = os.posix_spawn(
                argv[0],
                list(argv),
                environment,
                file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
                setpgroup=0,
                setsigdef=[*ASKING, signal.SIGCHLD, signal.SIGPIPE],
            )
        finally:
            os.close(theirs)
        self._code = None
        self._program = process_tree.identify(pid) or (pid, 0.0)

    def wait(self) -> int:
        """Pass signals on until the program has ended; its code, negative for a signal."""
        while self._code is None:
            if not self.asked:
                self._turn(None)
            elif not self._kill:
                left = self._asked_at + STOP_LIMIT - time.monotonic()
                self._turn(left)
                if left <= 0:
                    self._kill = True
            else:
                process_tree.signal_all(self._everything(), process_tree.KILL)
                self._turn(process_tree.POLL)
        os.close(self._alive_pipe)
        return self._code

    def end_rest(self, grace: float) -> int:
        """End every process that is left below us; how many could not be ended."""
        grace = 0.0 if self._kill else grace
        left = process_tree.end(self._everything, grace, pause=self._turn)
        self._turn(0.0)
        return len(left)

    def pause(self, seconds: float) -> None:
        """Wait, but not once `asked`."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            self._turn(left)

    def _turn(self, timeout: float | None) -> None:
        """Wait for signals, at most so long; act on them and reap who has ended."""
        if timeout is not None:
            timeout = max(0.0, timeout)
        if select.select([self._signals], [], [], timeout)[0]:
            for number in os.read(self._signals, 512):
                if number in ASKING:
                    self._told(number)
        self._reap()

    def _told(self, number: int) -> None:
        now = time.monotonic()
        if not self.asked:
            self.asked, self._asked_at = True, now
            if self._code is None:
                process_tree.send(self._program, number)
        elif number != signal.SIGHUP and now - self._asked_at > SAME_MOMENT:
            self._kill = True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._program[0] and self._code is None:
                self._code = os.waitstatus_to_exitcode(status)

    def _everything(self) -> set[process_tree.Identity]:
        below = process_tree.children(os.getpid())
        if sys.platform == "linux":
            return below
        return below | process_tree.members(self._program, self._mark)


def _listen() -> _socket.socket | None:
    """A listening socket on a loopback port that the programs inherit; None if there is none.

    The program then takes a port itself, as without a guard, and says what is wrong.
    """
    try:
        made = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        made.bind(("127.0.0.1", 0))
        made.listen(WAITING)
        os.set_inheritable(made.fileno(), True)
    except OSError:
        return None
    return made


def _become_subreaper() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
