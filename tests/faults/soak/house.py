"""The whole product over the loopback Cloudflare and the real OpenCode, and a lever per fault."""

import contextlib
import os
import resource
import secrets
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from nexus_tray.api.client import connect
from nexus_tray.commands import AnyCommand, EndAllSessions, SetPassword
from nexus_tray.model import Problem
from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared
from tests.e2e.program import Program, wait_until
from tests.faults.soak import recorder
from tests.faults.soak.phone import Phone, Strangers
from tests.faults.soak.watch import Watch
from tests.opencode_lab.harness import Home, find_opencode
from tests.opencode_lab.provider import Provider

CLOCK = Path(__file__).parents[1] / "clock"
HOUR = 3600.0


class House:
    """Everything, running. `fault(name)` pulls a lever; leaving its block lets it go."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        (folder / "lab").mkdir()
        self.lab = Lab(folder / "lab")
        self.lab.faults(quick_buffers_sse=True)
        self.notes = folder / "notes"
        self._clock = folder / "clock-file"
        self._clock.write_bytes(struct.pack("dd", 0.0, 0.0))
        self._asleep = 0.0
        self._loud = False
        self.program = self._configured(folder, provider)
        self.program.start()
        password = secrets.token_urlsafe(12)
        assert self.program.cli("password", "set", given=f"{password}\n").returncode == 0
        self.program.wait_running("opencode", "gateway", "quick", seconds=120)
        self.watch = Watch(self.program.paths)
        front = str(self.lab.info["front"])
        self.phone = Phone(front, self.watch.host, password)
        self.strangers = Strangers(front, self.watch.host)

    def _configured(self, folder: Path, provider: Provider) -> Program:
        home = Home(folder / "opencode", provider.url)
        environment = home.environment()
        kept = {name: environment[name] for name in environment if name not in ("PATH", "HOME")}
        script = folder / "opencode-recorded"
        recorder.write(script, find_opencode(), self.notes)
        made = Program(
            folder / "home",
            home.project,
            {
                **kept,
                "NEXUS_TRAY_CLOUDFLARED_LAB": str(self.lab.file),
                "NEXUS_TEST_CLOCK": str(self._clock),
            },
        )
        made.environment["PYTHONPATH"] += os.pathsep + str(CLOCK)
        made.configure(
            {
                "opencode": {"program": str(script), "environment": list(kept)},
                "cloudflared": {"program": str(real_cloudflared() or STANDIN)},
            }
        )
        return made

    def close(self) -> None:
        """End it all."""
        self.strangers.close()
        self.watch.close()
        self.program.stop()
        self.lab.close()

    # the levers

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Pulled within the block."""
        let_go = getattr(self, "_" + name.replace("-", "_"))()
        try:
            yield
        finally:
            if let_go is not None:
                let_go()

    def _signal(self, service: str, number: int) -> None:
        """To the service's process, if one is shown. Whoever is gone already is gone."""
        snapshot = self.watch.snapshot
        found = snapshot.service(service) if snapshot is not None else None
        if found is not None and found.facts.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.facts.pid, number)

    def _kill_opencode(self) -> None:
        self._signal("opencode", signal.SIGKILL)

    def _stop_opencode(self) -> None:
        self._signal("opencode", signal.SIGSTOP)

    def _kill_cloudflared(self) -> None:
        self._signal("quick", signal.SIGKILL)

    def _stop_cloudflared(self) -> None:
        self._signal("quick", signal.SIGSTOP)

    def _kill_program(self) -> None:
        os.kill(self.program.program_pid(), signal.SIGKILL)

    def _restart_program(self) -> None:
        assert self.program.stop(seconds=30) == 0
        self.program.start()

    def _flood(self) -> None:
        (self.notes / "flood").touch()

    def _edge_drop(self) -> None:
        self.lab.call("POST", "/edge/drop", {"mode": "abort"})

    def _edge_shut(self) -> Callable[[], None]:
        self.lab.call("POST", "/edge/shut", {"seconds": 60, "mode": "refuse"})
        self.lab.call("POST", "/edge/drop", {"mode": "abort"})
        return lambda: self.lab.call("POST", "/edge/open") and None

    def _edge_frozen(self) -> Callable[[], None]:
        self.lab.call("POST", "/edge/freeze", {"seconds": 60})
        return lambda: self.lab.call("POST", "/edge/freeze", {"seconds": 0}) and None

    def _disk_refuses(self) -> Callable[[], None]:
        """Every write that would make a file longer than 4 KiB fails, as on a full disk."""
        pid = self.program.program_pid()
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, before[1]))

        def let_go() -> None:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

        return let_go

    def _set_clock(self, ahead: float) -> None:
        with self._clock.open("r+b") as file:
            file.write(struct.pack("dd", ahead, self._asleep))

    def _clock_back(self) -> Callable[[], None]:
        self._set_clock(-HOUR)
        return lambda: self._set_clock(0.0)

    def _slept(self) -> None:
        """Ten minutes: the clocks went on, here and everywhere, and nothing ran."""
        self._asleep += 600.0
        self.lab.faults(clock_ahead=self._asleep)
        self._set_clock(0.0)

    def _suspended(self) -> Callable[[], None]:
        processes = self.program.tree()
        self.watch.quiet.set()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

        def let_go() -> None:
            for process in reversed(processes):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
            self.watch.quiet.clear()

        return let_go

    def _settings(self) -> None:
        """One that nothing restarts for, one time so and one time so."""
        self._loud = not self._loud
        level = "all" if self._loud else "important"
        done = self.program.cli("config", "set", "notifications.level", level)
        assert done.returncode in (0, 1, 3), done.stderr

    def _command(self, command: AnyCommand) -> bool:
        """Whether it was carried out; a program that is away just now refuses nothing."""
        try:
            return connect(self.program.paths).submit(command).reason is None
        except Problem:
            return False

    def _password(self) -> None:
        new = secrets.token_urlsafe(12)
        if self._command(SetPassword(password=new, current=self.phone.password)):
            self.phone.password = new

    def _revocation(self) -> None:
        self._command(EndAllSessions())

    # is all well

    def works(self) -> bool:
        """The phone reaches OpenCode through everything."""
        return self.phone.works()

    def wait_works(self, seconds: float) -> None:
        """AssertionError when it does not within so many seconds."""
        wait_until(self.works, seconds, "everything works again")

    def load(self) -> float:
        """How busy the machine is besides: told with what is missed."""
        return os.getloadavg()[0]

    def revision(self) -> str:
        """Which tree this is."""
        told = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
        return told.stdout.strip() or "unknown"
