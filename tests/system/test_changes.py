"""That this machine slept or came to another network: what counts, and how soon it is heard."""

import threading
import time
from operator import eq

import pytest

from nexus_tray.system.changes import ASLEEP, EVERY, Change, ChangeWatch, Look, change, outgoing

HOME = Look(0.0, "home", "192.168.1.5", wall=1e9)
NIGHT = 8 * 3600.0


def at(seconds: float, network: str | None = "home", address: str = "192.168.1.5") -> Look:
    return Look(seconds, network, address, wall=1e9 + seconds)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (at(EVERY), None),
        (at(EVERY + ASLEEP - 1), None),  # a busy machine
        (at(NIGHT), Change(slept=NIGHT)),
        (at(EVERY, None, ""), None),  # lost: nothing can be done
        (at(EVERY, "hotel", "10.0.0.9"), Change(moved=True)),
        (at(NIGHT, "hotel", "10.0.0.9"), Change(slept=NIGHT, moved=True)),
        (at(EVERY, "home", "192.168.1.77"), Change(renamed=True)),
        (at(EVERY, "home", ""), None),
        (at(NIGHT, None, ""), Change(slept=NIGHT)),
    ],
)
def test_what_counts_as_a_change(now: Look, found: Change | None) -> None:
    assert change(HOME, HOME, now, eq) == found


@pytest.mark.parametrize(
    ("passed", "wall", "ahead"),
    [
        (EVERY, EVERY, 0.0),
        (EVERY, EVERY + 1.0, 0.0),  # brought right gently
        (EVERY, EVERY + 86400.0, 86400.0),
        (EVERY, EVERY - 86400.0, -86400.0),
        (NIGHT, NIGHT, 0.0),  # a sleep, by a clock that went on
        (NIGHT, NIGHT - 3600.0, -3600.0),  # and was wrong
    ],
)
def test_a_clock_that_was_set_is_told_from_a_sleep(
    passed: float, wall: float, ahead: float
) -> None:
    for network in ("home", None):
        before = Look(0.0, network, wall=1e9)
        found = change(before, before, Look(passed, network, wall=1e9 + wall), eq)
        assert (found or Change()).ahead == ahead


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (at(EVERY), Change(back=True)),
        (at(EVERY, "hotel", "10.0.0.9"), Change(moved=True)),
        (at(EVERY, address="192.168.1.77"), Change(back=True)),
        (at(EVERY, None, ""), None),
    ],
)
def test_a_network_that_was_lost_comes_back(now: Look, found: Change | None) -> None:
    assert change(at(0.0, None, ""), HOME, now, eq) == found


def test_the_first_network_after_a_start_without_one_is_heard() -> None:
    none = at(0.0, None, "")
    assert change(none, none, at(EVERY), eq) == Change(
        back=True
    )  # who waits for it waits no longer


def test_each_change_is_a_sentence() -> None:
    assert Change(slept=NIGHT, moved=True).words.startswith(
        "This computer woke after 8 hours and is on another network:"
    )
    assert "woke after 15 minutes" in Change(slept=900.0).words
    assert "has a network again" in Change(back=True).words
    assert "set ahead by 365 days" in Change(ahead=365 * 86400.0).words
    assert "set back by 2 hours" in Change(ahead=-7200.0).words
    assert "has another address" in Change(renamed=True).words


def test_it_is_heard_within_three_looks_and_once() -> None:
    heard: list[tuple[Change, float]] = []
    told = threading.Event()
    seen = [HOME]

    def hear(found: Change) -> None:
        heard.append((found, time.monotonic()))
        told.set()

    watch = ChangeWatch(lambda: seen[0], hear, eq, every=0.05)
    watch.start()
    try:
        began = time.monotonic()
        seen[0] = at(0.1, "hotel", "10.0.0.9")
        assert told.wait(5)
        assert heard[0][0] == Change(moved=True)
        assert heard[0][1] - began < 1
        seen[0] = at(0.2, None, "")
        seen[0] = at(0.3, "hotel", "10.0.0.9")
    finally:
        watch.close()
    assert len(heard) <= 2
    assert not any(thread.name == "surroundings" for thread in threading.enumerate())


def test_the_own_address_is_asked_without_a_packet() -> None:
    assert outgoing() == outgoing()
