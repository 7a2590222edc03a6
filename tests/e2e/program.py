"""The whole program as a person runs it: a guard process, commands, and what they print."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import psutil

from nexus_tray.model import ServiceState, Snapshot
from nexus_tray.paths import Paths, find
from nexus_tray.settings import SCHEMA_VERSION

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent


def wait_until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """The first true answer of `look`; fails with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Program:
    """One instance in a home of its own. `environment` is added to a minimal one."""

    def __init__(self, home: Path, directory: Path, environment: Mapping[str, str]) -> None:
        self.home, self.directory = home, directory
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home / "user"),
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "NEXUS_TRAY_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        self.paths: Paths = find(self.environment)
        self.output = home / "output.txt"
        self.popen: subprocess.Popen[bytes] | None = None
        self.options = ["--headless"]
        self.prefix: list[str] = []  # what runs it, as in another network
        (home / "user").mkdir(parents=True, exist_ok=True)

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write config.json before the start."""
        self.paths.config.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.paths.config_file.touch(mode=0o600)
        self.paths.config_file.write_text(json.dumps({"version": SCHEMA_VERSION, **settings}))

    def start(self) -> None:
        """Start it and wait until its local API answers."""
        with self.output.open("ab") as output:
            self.popen = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "nexus_tray", "run", *self.options],
                cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(lambda: self.cli("status").returncode == 0, 30, "a start")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output.read_text()}") from None

    def cli(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run `nexus-tray` with these arguments and this standard input."""
        return subprocess.run(
            [*self.prefix, sys.executable, "-m", "nexus_tray", *arguments],
            env=self.environment, input=given, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    def snapshot(self) -> Snapshot:
        done = self.cli("status", "--json")
        assert done.returncode == 0, done.stderr + self.output.read_text()
        return msgspec.json.decode(done.stdout, type=Snapshot)

    def wait_for(self, condition: Callable[[Snapshot], Any], seconds: float, what: str) -> Snapshot:
        """The first snapshot that fulfils the condition."""
        last: Snapshot | None = None

        def look() -> Snapshot | None:
            nonlocal last
            last = self.snapshot()
            return last if condition(last) else None

        try:
            return wait_until(look, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last}\n{self.output.read_text()[-4000:]}") from None

    def wait_running(self, *names: str, seconds: float = 60) -> Snapshot:
        """Wait until all these services are RUNNING."""

        def all_running(snapshot: Snapshot) -> bool:
            services = [snapshot.service(name) for name in names]
            return all(s is not None and s.state is ServiceState.RUNNING for s in services)

        return self.wait_for(all_running, seconds, f"running: {names}")

    def pid_of(self, name: str) -> int:
        service = self.snapshot().service(name)
        assert service is not None
        assert service.facts.pid is not None
        return service.facts.pid

    def tree(self) -> list[psutil.Process]:
        """The guard and everything below it."""
        assert self.popen is not None
        guard = psutil.Process(self.popen.pid)
        return [guard, *guard.children(recursive=True)]

    def program_pid(self) -> int:
        """The process below the guard that is the program itself, not an orphan it took in."""
        assert self.popen is not None
        found = []
        for child in psutil.Process(self.popen.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # an orphan that just ended
                found += [child.pid] if "nexus_tray" in child.cmdline() else []
        [program] = found
        return program

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """End it by a signal to the guard; its exit code."""
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(seconds)
        self.popen = None
        return code


class Visitor:
    """This machine's browser without the browser: through the local door by a one-time link."""

    def __init__(self, program: Program) -> None:
        link = urlsplit(program.cli("open", "--print").stdout.strip())
        self._authority = link.netloc
        self._cookie = ""
        status, fields, _ = self._send("GET", f"{link.path}?{link.query}", None)
        assert status == 303, status
        self._cookie = fields["set-cookie"].partition(";")[0]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """JSON in, JSON out; fails on any refusal."""
        status, _, data = self._send(method, path, body)
        assert status < 300, (status, data)
        return json.loads(data) if data else None

    def _send(self, method: str, path: str, body: object) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection(self._authority, timeout=30)
        fields = {"Origin": f"http://{self._authority}", "Content-Type": "application/json"}
        if self._cookie:
            fields["Cookie"] = self._cookie
        try:
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def gone(processes: list[psutil.Process]) -> bool:
    """None of these processes is alive (a zombie is not)."""
    _, alive = psutil.wait_procs(processes, timeout=0)
    return all(p.status() == psutil.STATUS_ZOMBIE for p in alive if p.is_running())
