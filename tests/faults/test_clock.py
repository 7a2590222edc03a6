"""A clock that is a year off, and a machine that slept: the whole program, its visitors outside.

SECURITY.md 27: back-off and lockout are monotonic, sessions fail closed. The program's own clock
is moved, not the machine's (tests/faults/clock): in the guard, the program and whatever Python it
starts. As decisions, with time as an argument: tests/core, tests/gateway/test_lockout,
tests/store/test_audit, test_address.
"""

import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_tray.model import Service, ServiceState, Snapshot
from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared, until
from tests.e2e.program import ROOT, Program
from tests.security.test_canaries import Visitor

S = ServiceState
YEAR = 365 * 86400.0
HOUR = 3600.0
PASSWORD, WRONG = "a long walk by the river", "a short run on the road"
TUNNEL = "quick"
NOTICED = 10.0

pytestmark = pytest.mark.timeout(180)


class Timed:
    """The program with a clock of its own; `set` moves it."""

    def __init__(self, folder: Path) -> None:
        self.clock = folder / "clock"
        self.clock.write_bytes(struct.pack("dd", 0.0, 0.0))
        lab_folder = folder / "lab"
        lab_folder.mkdir()
        self.lab = Lab(lab_folder)
        hook = Path(__file__).with_name("clock")
        self.program = Program(
            folder / "home",
            folder,
            {
                "NEXUS_TRAY_CLOUDFLARED_LAB": str(self.lab.file),
                "NEXUS_TEST_CLOCK": str(self.clock),
                "PYTHONPATH": f"{hook}:{ROOT}",
            },
        )
        self.program.configure(
            {
                "opencode": {"enabled": False},
                "cloudflared": {"program": str(real_cloudflared() or STANDIN)},
            }
        )

    def set(self, ahead: float = 0.0, slept: float = 0.0) -> None:
        """The wall clock is so far ahead, and the machine slept so long, in all. For everybody
        else, Cloudflare too, the time of a sleep went by."""
        self.lab.faults(clock_ahead=slept)
        with self.clock.open("r+b") as file:
            file.write(struct.pack("dd", ahead, slept))

    def begin(self) -> Service:
        self.program.start()
        done = self.program.cli("password", "set", given=PASSWORD + "\n")
        assert done.returncode == 0, done.stderr
        return self.tunnel(lambda s: s.state is S.RUNNING and s.facts.proved_at, "proved")

    def tunnel(self, ready: Callable[[Service], object], what: str, seconds: float = 30) -> Service:
        def so(snapshot: Snapshot) -> object:
            service = snapshot.service(TUNNEL)
            return service is not None and ready(service)

        found = self.program.wait_for(so, seconds, what).service(TUNNEL)
        assert found is not None
        return found

    def phone(self, service: Service) -> Visitor:
        assert service.facts.address
        return Visitor(self.lab, service.facts.address)

    def told(self) -> str:
        return self.program.cli("logs", "--lines", "500").stdout

    def close(self) -> None:
        self.program.stop()
        self.lab.close()


@pytest.fixture
def timed(tmp_path: Path) -> Iterator[Timed]:
    made = Timed(tmp_path)
    yield made
    made.close()


def sign_in(phone: Visitor, password: str = PASSWORD) -> int:
    return phone.ask("POST", "/_nexus/sign-in", {"password": password})


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_a_year_off_lets_nobody_in_and_costs_no_tunnel(timed: Timed, years: int) -> None:
    before = timed.begin()
    phone = timed.phone(before)
    assert sign_in(phone) == 303
    assert phone.ask("GET", "/session") in (200, 502, 503)  # OpenCode is off: but let in
    inside = phone.ask("GET", "/_nexus/")
    assert inside == 200

    timed.set(ahead=years * YEAR)
    refused = phone.ask("GET", "/_nexus/")
    assert refused != 200, refused
    assert sign_in(timed.phone(before)) in (403, 503)  # nor anew
    until(lambda: "five minutes from Cloudflare" in timed.told(), "said", NOTICED)
    assert "Nobody gets in from outside" in timed.program.cli("doctor").stdout
    time.sleep(3)  # a probe and whatever else is due
    now = timed.tunnel(lambda s: s.state is S.RUNNING, "runs as before")
    assert (now.facts.pid, now.restarts) == (before.facts.pid, 0)
    assert timed.program.snapshot().service("gateway") is not None

    timed.set()  # it is put right: nothing was written at a time to come
    anew = timed.phone(before)
    assert sign_in(anew) == 303
    assert anew.ask("GET", "/_nexus/") == 200
    until(lambda: "clock can be believed again" in timed.told(), "taken back", NOTICED)


@pytest.mark.parametrize("years", [pytest.param(1, marks=pytest.mark.long), -1])
def test_a_back_off_is_no_shorter_and_no_longer_by_a_clock_a_year_off(
    timed: Timed, years: int
) -> None:
    """A 429 is left alone for its time (SECURITY.md 22), whatever the clock says meanwhile."""
    timed.lab.faults(quick={"kind": "status", "status": 429})
    timed.program.start()
    timed.program.cli("password", "set", given=PASSWORD + "\n")
    timed.tunnel(lambda s: s.state is S.BACKOFF, "left alone")
    asked = timed.lab.counts()["quick_requests"]
    timed.set(ahead=years * YEAR)

    def left(service: Service) -> float:
        """Seconds, as shown by the clock that the program has now."""
        assert service.next_try_at is not None
        return service.next_try_at - (time.time() + years * YEAR)

    now = timed.tunnel(lambda s: abs(left(s)) < 1000, "shown by the new clock", NOTICED)
    assert now.state is S.BACKOFF
    assert 100 < left(now) < 200
    assert timed.lab.counts()["quick_requests"] == asked


def test_a_lockout_does_not_end_by_the_clock(timed: Timed) -> None:
    """Set ahead by a year and back again: the pause lasts as long as it lasts."""
    service = timed.begin()
    phone = timed.phone(service)
    for pause in (0, 0, 0, 0, 0, 1.2, 2.2, 4.2):  # five are free, then 1, 2, 4 and 8 s
        time.sleep(pause)
        locked = time.monotonic()
        assert sign_in(phone, WRONG) == 403
    for ahead in (YEAR, -YEAR, 0.0):
        timed.set(ahead=ahead)
        came_in = sign_in(timed.phone(service)) == 303
        assert not came_in or time.monotonic() - locked > 7.9  # a slow machine may see its end
    until(lambda: sign_in(timed.phone(service)) == 303, "the end of the pause", 15)
    assert time.monotonic() - locked > 7.9


@pytest.mark.parametrize(
    ("hours", "kept"), [pytest.param(8.0, True, marks=pytest.mark.long), (13.0, False)]
)
def test_a_night_of_sleep_is_noticed_and_ends_what_is_over(
    timed: Timed, hours: float, kept: bool
) -> None:
    """The way is looked at at once; a session is idle while the machine sleeps (12 h)."""
    service = timed.begin()
    phone = timed.phone(service)
    assert sign_in(phone) == 303
    proved = service.facts.proved_at or 0.0
    timed.set(slept=hours * HOUR)
    began = time.monotonic()
    until(lambda: f"woke after {hours:.0f} hours" in timed.told(), "the note", NOTICED)
    timed.tunnel(
        lambda s: (s.facts.proved_at or 0.0) >= proved + hours * HOUR, "proved anew", NOTICED
    )
    assert time.monotonic() - began < NOTICED
    assert (phone.ask("GET", "/_nexus/") == 200) is kept
    assert sign_in(timed.phone(service)) == 303  # the clock is right, and nobody is kept out
