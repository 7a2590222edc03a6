"""OpenCode over the memory a person allows it: started anew when idle, and said.

The real OpenCode below the real supervisor; only the times are shorter. What is decided when is
tests/services/test_memory_cap.py.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_tray.app.opencode_care import MemoryWatch, OpenCodeCare
from nexus_tray.core.journal import Journal
from nexus_tray.core.machine import Policy
from nexus_tray.core.supervisor import Clock, Entry, Supervisor
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import (
    Activity,
    Desired,
    Event,
    Facts,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
)
from nexus_tray.paths import Paths
from nexus_tray.services.memory_cap import Times
from nexus_tray.services.opencode import OpenCodeDriver
from nexus_tray.services.opencode_client import OpenCodeClient
from nexus_tray.settings import OpenCodeSettings, Settings
from tests.e2e.program import Program
from tests.faults.children import house
from tests.opencode_lab.harness import Home, Talk, find_opencode, until
from tests.opencode_lab.provider import Provider

pytestmark = pytest.mark.timeout(180)

SHORT = Times(quiet=0.5, life=1.0, first=0.0)
LITTLE = 64
"""Megabytes: less than any OpenCode holds (320 idle, FACTS.md)."""


class Household:
    """Supervisor, OpenCode, and who looks after it."""

    def __init__(self, home: Home, paths: Paths) -> None:
        self.cap = 0
        self.notes: list[Event] = []
        self.upstream: Upstream | None = None
        self.journal = Journal("boot", time.time, on_note=self.notes.append)
        self.supervisor = Supervisor(self.journal, "0", Clock(time.monotonic, time.time))
        self.care = OpenCodeCare(
            paths, self.supervisor, self.journal.latest, self._settings, SHORT, every=0.1
        )
        driver = OpenCodeDriver(
            program=find_opencode,
            directory=lambda: home.project,
            environment=home.environment,
            on_upstream=self._follow,
            on_log=lambda level, text: None,
        )
        self.supervisor.start()
        policy = Policy(probe_running=0.3)
        self.supervisor.adopt(
            [Entry("opencode", ServiceKind.OPENCODE, driver, (), Desired.RUNNING, policy)]
        )

    def _settings(self) -> Settings:
        return Settings(opencode=OpenCodeSettings(memory_megabytes=self.cap))

    def _follow(self, upstream: Upstream | None) -> None:
        self.upstream = upstream or self.upstream
        self.care.set_upstream(upstream)

    @property
    def service(self) -> Service | None:
        return self.journal.latest().service("opencode")

    def until(self, ready: Callable[[Service], bool], what: str, seconds: float = 30.0) -> Service:
        def ask() -> Service | None:
            service = self.service
            return service if service is not None and ready(service) else None

        return until(f"{what}; it is {self.service}", ask, seconds)

    def until_noticed(self, code: str) -> Service:
        return self.until(lambda s: s.notice is not None and s.notice.code == code, code)

    def running(self) -> int:
        service = self.until(
            lambda s: bool(
                s.state is ServiceState.RUNNING and s.facts.pid and s.facts.memory_bytes
            ),
            "running",
            60,
        )
        assert service.facts.pid is not None
        return service.facts.pid

    def until_state(self, talk: Talk, state: SessionState) -> None:
        def shown() -> bool:
            activity = self.journal.latest().activity
            return activity is not None and any(
                one.id == talk.id and one.state is state for one in activity.sessions
            )

        until(f"{state}", shown)

    def close(self) -> None:
        self.care.close()
        assert self.supervisor.close(20.0)


@pytest.fixture
def household(opencode_home: Home, paths: Paths) -> Iterator[Household]:
    made = Household(opencode_home, paths)
    yield made
    made.close()


def test_over_the_cap_it_is_started_anew_when_nothing_works_and_said(
    household: Household, opencode_home: Home
) -> None:
    first = household.running()
    assert household.upstream is not None
    talk = Talk(household.upstream, opencode_home.project, "kept")
    talk.say("RUNTOOL: echo tool-ran-$((6*7))")
    household.until_state(talk, SessionState.WAITING)
    household.cap = LITTLE
    waits = household.until_noticed("opencode-over-memory")
    assert waits.notice is not None
    assert f"the {LITTLE} MB" in waits.notice.what
    assert waits.facts.pid == first
    (asked,) = talk.pending("permission")

    terminal = terminal_in(household.upstream, opencode_home.project)
    talk.reply(asked["id"])
    household.until_state(talk, SessionState.IDLE)
    began = time.monotonic()
    while time.monotonic() - began < 2.0:  # four times the quiet
        service = household.service
        assert service is not None
        assert service.facts.pid == first, "a terminal is open"
        time.sleep(0.05)
    close_terminal(household.upstream, terminal, opencode_home.project)

    household.until(lambda s: s.facts.pid not in (None, first), "another process")
    household.cap = 100_000
    second = household.running()
    assert second != first
    said = household.until_noticed("opencode-recycled")
    assert said.restarts == 0, "it was asked for"
    told = [event.reason.code for event in household.notes if event.reason]
    assert told.count("opencode-recycled") == 1
    household.until_state(talk, SessionState.IDLE)
    assert "tool-ran-42" in again(talk, household.upstream).text()


def test_a_moment_without_an_answer_makes_no_fresh_process_of_it() -> None:
    """Taken for a fresh one, what it holds would be taken for what it needs by itself."""
    nobody: Any = None
    watch = MemoryWatch(nobody, nobody, lambda: LITTLE, SHORT, every=600.0)
    for state, busy in ((ServiceState.RUNNING, False), (ServiceState.DEGRADED, None)):
        service = Service(
            name="opencode", kind=ServiceKind.OPENCODE, desired=Desired.RUNNING, state=state,
            since_at=0.0, facts=Facts(pid=7, memory_bytes=2**30),
        )  # fmt: skip
        look = watch._seen(service, LITTLE, Activity())
        assert (look.pid, look.memory, look.busy) == (7, 2**30, busy)
    watch.close()


@pytest.mark.long
def test_a_cap_below_what_it_needs_is_said_and_nothing_is_ended(
    tmp_path: Path, provider: Provider
) -> None:
    """The whole program with its own times: a setting, and what the command line shows of it."""
    program = house(tmp_path, provider, memory_megabytes=LITTLE)
    try:
        program.start()
        program.wait_running("opencode", seconds=90)
        pid = program.pid_of("opencode")
        seen = program.wait_for(_noticed, 30, "a notice")
        service = seen.service("opencode")
        assert service is not None
        assert service.notice is not None
        assert service.notice.code == "opencode-memory-too-small"
        assert "opencode.memory_megabytes" in service.notice.cure
        assert service.notice.what in " ".join(program.cli("status").stdout.split())
        assert program.pid_of("opencode") == pid
        raised(program)
    finally:
        program.stop()


def raised(program: Program) -> None:
    """The person allows more: it is said no longer, and nothing was started anew."""
    pid = program.pid_of("opencode")
    assert program.cli("config", "set", "opencode.memory_megabytes", "100000").returncode == 0
    program.wait_for(lambda snapshot: not _noticed(snapshot), 30, "no notice")
    assert program.pid_of("opencode") == pid


def _noticed(snapshot: object) -> bool:
    return any(service.notice is not None for service in getattr(snapshot, "services", ()))


def terminal_in(upstream: Upstream, folder: Path) -> str:
    """Open one as OpenCode's page does; its id."""
    body = {"command": "/bin/sh", "args": [], "cwd": str(folder)}
    answer = OpenCodeClient(upstream).post("/pty", body, directory=str(folder))
    return str(msgspec.json.decode(answer)["id"])


def close_terminal(upstream: Upstream, terminal: str, folder: Path) -> None:
    OpenCodeClient(upstream)._ask("DELETE", f"/pty/{terminal}", str(folder), None, None, 5.0)


def again(talk: Talk, upstream: Upstream) -> Talk:
    """The same conversation, at the OpenCode that answers now."""
    talk.client = OpenCodeClient(upstream)
    return talk
