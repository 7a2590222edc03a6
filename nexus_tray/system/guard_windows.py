"""The guard's hands on Windows: a Job Object that ends with us. Untested: no Windows here.

Everything the program starts is in the job by inheritance. Closing the job's last handle
(our death included) kills all of it, so there the program ends with its guard and needs
no pipe. Signals: Ctrl-C and Ctrl-Break reach the guard; the program, in a process group of
its own, gets Ctrl-Break. One thread. Same public names as `guard_posix.Ward`.
Source: learn.microsoft.com, "Job Objects" and JOBOBJECT_EXTENDED_LIMIT_INFORMATION.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

if sys.platform != "win32":
    raise ImportError("this module is for Windows")

from ctypes import wintypes

STOP_LIMIT = 20.0
LOOK = 0.1
EXTENDED_LIMIT_INFORMATION = 9
KILL_ON_JOB_CLOSE = 0x2000


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
        ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
        ("LimitFlags", wintypes.DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", wintypes.DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", wintypes.DWORD),
        ("SchedulingClass", wintypes.DWORD),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_ulonglong * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class Ward:
    """The program under guard. `asked`: a signal has told us to end."""

    def __init__(self) -> None:
        self.asked = False
        self._asked_at = 0.0
        self._told = 0
        self._program: subprocess.Popen[bytes] | None = None
        self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        self._kernel.CreateJobObjectW.restype = wintypes.HANDLE
        self._job = wintypes.HANDLE()
        for number in (signal.SIGINT, signal.SIGBREAK, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def start(self, argv: Sequence[str]) -> None:
        """Start the program in a new job. Raises OSError when it cannot be started."""
        self._job = self._new_job()
        self._program = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        # Python takes tens of milliseconds to start, so nothing is started before this
        handle = wintypes.HANDLE(int(self._program._handle))  # type: ignore[attr-defined, unused-ignore]
        self._check(self._kernel.AssignProcessToJobObject(self._job, handle))

    def wait(self) -> int:
        """Pass signals on until the program has ended; its code."""
        if self._program is None:
            raise ValueError("start comes first")
        passed_on = False
        while (code := self._program.poll()) is None:
            if self.asked and not passed_on:
                os.kill(self._program.pid, signal.CTRL_BREAK_EVENT)
                passed_on = True
            late = self.asked and time.monotonic() - self._asked_at > STOP_LIMIT
            if late or self._told > 1:
                self._kernel.TerminateJobObject(self._job, 1)
            time.sleep(LOOK)
        return code

    def end_rest(self, grace: float) -> int:  # noqa: ARG002 - as in guard_posix
        """End every process that is left in the job; how many could not be ended.

        `grace` has no meaning here: there is no way to ask a stranger's console politely.
        """
        self._kernel.TerminateJobObject(self._job, 1)
        self._kernel.CloseHandle(self._job)
        return 0

    def pause(self, seconds: float) -> None:
        """Wait, but not once `asked`."""
        until = time.monotonic() + seconds
        while not self.asked and time.monotonic() < until:
            time.sleep(LOOK)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._told += 1
        if not self.asked:
            self.asked, self._asked_at = True, time.monotonic()

    def _new_job(self) -> wintypes.HANDLE:
        job = wintypes.HANDLE(self._kernel.CreateJobObjectW(None, None))
        self._check(job.value)
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = KILL_ON_JOB_CLOSE
        done = self._kernel.SetInformationJobObject(
            job, EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        )
        self._check(done)
        return job

    @staticmethod
    def _check(answer: int | None) -> None:
        if not answer:
            raise ctypes.WinError(ctypes.get_last_error())
