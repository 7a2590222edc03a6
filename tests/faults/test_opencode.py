"""OpenCode stopped, deaf, busy, dying at once, misconfigured (SECURITY.md 18, 19, 20).

The whole way: real process, driver, machine, supervisor; what is asserted is the snapshot
that a person would see.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from nexus_tray.core.journal import Journal
from nexus_tray.core.machine import Policy
from nexus_tray.core.supervisor import Clock, Entry, Supervisor
from nexus_tray.model import Desired, Service, ServiceKind, ServiceState
from nexus_tray.services.opencode import OpenCodeDriver
from nexus_tray.services.opencode_probe import Limits
from tests.opencode_lab import standin
from tests.opencode_lab.harness import Home, find_opencode, until

S = ServiceState


class Watched:
    """A supervisor with OpenCode alone."""

    def __init__(
        self, home: Home, program: Path, policy: Policy | None = None, limits: Limits | None = None
    ) -> None:
        self.starts = 0
        self.published: list[bool] = []
        self.log: list[str] = []
        self.notes: list[str] = []
        self.journal = Journal(
            "boot", time.time, on_note=lambda event: self.notes.append(event.note)
        )
        self.supervisor = Supervisor(self.journal, "0", Clock(time.monotonic, time.time))

        def found() -> Path:
            self.starts += 1
            return program

        driver = OpenCodeDriver(
            program=found,
            directory=lambda: home.project,
            environment=home.environment,
            on_upstream=lambda upstream: self.published.append(upstream is not None),
            on_log=lambda level, text: self.log.append(text),
            limits=limits,
        )
        self.supervisor.start()
        self.supervisor.adopt(
            [
                Entry(
                    name="opencode",
                    kind=ServiceKind.OPENCODE,
                    driver=driver,
                    spec=(),
                    desired=Desired.RUNNING,
                    policy=policy or Policy(),
                )
            ]
        )

    @property
    def service(self) -> Service | None:
        return self.journal.latest().service("opencode")

    def until(self, ready: Callable[[Service], bool], seconds: float) -> Service:
        def ask() -> Service | None:
            service = self.service
            return service if service is not None and ready(service) else None

        return until(f"the service, now {self.service}", ask, seconds)


@pytest.fixture
def watched() -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def make(*args: object, **more: object) -> Watched:
        made.append(Watched(*args, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        assert each.supervisor.close(20.0)


def running(service: Service) -> bool:
    return service.state is S.RUNNING and service.facts.pid is not None


@pytest.mark.timeout(90)
def test_18_a_stopped_one_is_restarted_within_30_s(
    watched: Callable[..., Watched], opencode_home: Home
) -> None:
    seen = watched(opencode_home, find_opencode())
    first = seen.until(running, 30).facts.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    began = time.monotonic()
    hurt = seen.until(lambda service: service.state is S.DEGRADED, 15)
    assert hurt.reason is not None
    assert hurt.reason.code == "opencode-silent"
    again = seen.until(lambda service: service.facts.pid not in (None, first), 35)
    assert time.monotonic() - began < 30
    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    seen.until(running, 30)
    assert again.restarts == 1
    assert seen.published == [True, False, True]


QUICK = Policy(probe_running=0.3, probe_starting=0.05, backoff_first=0.1, backoff_most=1.0)


def test_18_a_busy_one_is_left_alone_and_a_deaf_one_is_not(
    watched: Callable[..., Watched], opencode_home: Home
) -> None:
    program = standin.executable(opencode_home.root / "standin")
    mood = opencode_home.project / "mood"
    seen = watched(opencode_home, program, QUICK, Limits(probe=0.5, deaf_grace=0.2))
    first = seen.until(running, 30).facts.pid

    mood.write_text("busy", encoding="utf-8")
    service = seen.until(lambda service: service.state is S.DEGRADED, 10)
    assert service.reason is not None
    assert service.reason.code == "opencode-busy"
    began = time.monotonic()
    while time.monotonic() - began < 4:  # three strikes take 2.4 s
        service = seen.until(lambda service: True, 1)
        assert service.facts.pid == first
        assert service.state is S.DEGRADED
        time.sleep(0.1)
    mood.write_text("ok", encoding="utf-8")
    assert seen.until(running, 10).facts.pid == first

    mood.write_text("deaf", encoding="utf-8")
    seen.until(lambda service: service.facts.pid != first, 15)
    mood.write_text("ok", encoding="utf-8")
    assert seen.until(running, 30).restarts >= 1


def test_18_who_computes_without_end_is_not_believed_for_ever(
    watched: Callable[..., Watched], opencode_home: Home
) -> None:
    program = standin.executable(opencode_home.root / "standin")
    mood = opencode_home.project / "mood"
    seen = watched(opencode_home, program, QUICK, Limits(probe=0.5, grace=0.2, busy_patience=1.5))
    first = seen.until(running, 30).facts.pid
    mood.write_text("busy", encoding="utf-8")
    seen.until(lambda service: service.facts.pid != first, 20)
    mood.write_text("ok", encoding="utf-8")
    seen.until(running, 30)


def test_19_instant_exits_end_in_failed_with_a_reason_and_one_notice(
    watched: Callable[..., Watched], opencode_home: Home
) -> None:
    program = opencode_home.root / "dies"
    program.write_text("#!/bin/sh\necho 'Error: out of luck' >&2\nexit 7\n", encoding="utf-8")
    program.chmod(0o755)
    policy = Policy(backoff_first=0.05, backoff_most=0.5)
    seen = watched(opencode_home, program, policy)
    service = seen.until(lambda service: service.state is S.FAILED, 30)
    assert service.reason is not None
    assert service.reason.code == "opencode-ended"
    assert "out of luck" in str(service.reason)
    assert "code 7" in service.reason.what
    assert seen.starts == policy.crash_starts == 6
    assert len([note for note in seen.notes if "given up" in note]) == 1
    assert not any(seen.published)


def test_20_a_corrupt_configuration_is_named_within_5_s_without_a_loop(
    watched: Callable[..., Watched], opencode_home: Home
) -> None:
    opencode_home.config.write_text('{"provider": ', encoding="utf-8")
    seen = watched(opencode_home, find_opencode())
    # how long OpenCode itself takes to start is the machine's matter (here 1.3 s, idle)
    until("listening", lambda: any("listening" in line for line in seen.log), 60)
    service = seen.until(lambda service: service.state is S.FAILED, 5)
    assert service.reason is not None
    assert service.reason.code == "opencode-bad-config"
    assert str(opencode_home.config) in service.reason.what
    assert service.reason.cure
    assert seen.starts == 1
    assert seen.published == []
