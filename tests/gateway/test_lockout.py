"""The lockout's numbers, one by one, and at random with its invariants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.signin.lockout import (
    FREE_FAILURES,
    LONGEST_LOCK,
    MOST_ADDRESSES,
    TOTAL_FAILURES,
    Gate,
    Lockout,
)
from nexus_tray.store.places import network


def test_five_failures_are_free_then_the_lock_doubles_to_a_quarter_of_an_hour() -> None:
    lockout, now, waits = Lockout(), 1000.0, []
    for _ in range(20):
        assert lockout.begin("192.0.2.1", now) is Gate.OPEN
        wait = lockout.locked_for("192.0.2.1", now)
        waits.append(wait)
        if wait:
            assert lockout.begin("192.0.2.1", now + wait * 0.999) is Gate.LOCKED
        now += wait
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900, 900]


def test_another_address_is_not_touched_by_it() -> None:
    lockout = Lockout()
    for _ in range(FREE_FAILURES):
        lockout.begin("192.0.2.1", 0.0)
    assert lockout.begin("192.0.2.1", 0.5) is Gate.LOCKED
    assert lockout.begin("192.0.2.2", 0.5) is Gate.OPEN


def test_being_refused_does_not_lengthen_the_lock() -> None:
    lockout = Lockout()
    for _ in range(FREE_FAILURES):
        lockout.begin("192.0.2.1", 0.0)
    for step in range(9):
        assert lockout.begin("192.0.2.1", step / 10) is Gate.LOCKED
    assert lockout.begin("192.0.2.1", 1.0) is Gate.OPEN


def test_success_forgets_the_failures_and_takes_the_attempt_back() -> None:
    lockout = Lockout(total=6)
    for _ in range(5):
        assert lockout.begin("192.0.2.1", 0.0) is Gate.OPEN
    assert lockout.begin("192.0.2.1", 1.0) is Gate.OPEN
    lockout.succeeded("192.0.2.1", 1.0)
    assert lockout.begin("192.0.2.1", 1.0) is Gate.OPEN, "the sixth of six was given back"
    assert lockout.begin("192.0.2.1", 1.0) is Gate.PAUSED


def test_a_hundred_failures_an_hour_pause_everybody_until_the_first_is_an_hour_old() -> None:
    lockout = Lockout()
    for number in range(TOTAL_FAILURES):
        assert lockout.begin(f"192.0.2.{number}", float(number)) is Gate.OPEN
    assert lockout.begin("198.51.100.1", 100.0) is Gate.PAUSED
    assert lockout.paused_for(100.0) == 3500.0
    assert lockout.begin("198.51.100.1", 3599.9) is Gate.PAUSED
    assert lockout.begin("198.51.100.1", 3600.0) is Gate.OPEN
    assert lockout.begin("198.51.100.2", 3600.0) is Gate.PAUSED, "one came free, not all"


def test_without_a_window_each_address_counts_for_itself_alone() -> None:
    lockout = Lockout(window=0.0)
    gates = [lockout.begin(f"192.0.2.{number // 5}", 7.0) for number in range(TOTAL_FAILURES * 5)]
    assert set(gates) == {Gate.OPEN}
    assert lockout.begin("192.0.2.0", 7.5) is Gate.LOCKED
    assert lockout.paused_for(7.5) == 0.0


def test_failures_are_forgotten_after_a_quiet_hour() -> None:
    lockout = Lockout()
    for _ in range(FREE_FAILURES):
        lockout.begin("192.0.2.1", 0.0)
    assert lockout.begin("192.0.2.1", 3601.0) is Gate.OPEN
    assert lockout.locked_for("192.0.2.1", 3601.0) == 0.0


def test_many_at_once_cannot_slip_past_the_count() -> None:
    lockout = Lockout()
    gates = [lockout.begin("192.0.2.1", 5.0) for _ in range(100)]
    assert gates.count(Gate.OPEN) == FREE_FAILURES


def test_memory_is_bounded() -> None:
    lockout = Lockout(total=10**9)
    for number in range(MOST_ADDRESSES * 3):
        lockout.begin(f"host-{number}", float(number))
    assert len(lockout) == MOST_ADDRESSES


def test_a_million_addresses_while_paused_are_not_remembered() -> None:
    lockout = Lockout(total=3)
    for number in range(5000):
        lockout.begin(f"host-{number}", 1.0)
    assert len(lockout) == 3


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:0db8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::FFFF:C000:0207", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("local", "local"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address: str, counted_as: str) -> None:
    assert network(address) == counted_as


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from([0.0, 0.1, 1.0, 7.0, 60.0, 900.0, 3700.0]),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_walk(attempts: list[tuple[str, float, bool]]) -> None:
    """Never more failures in any hour than the total; no lock over 15 min; locks hold."""
    lockout, now, failed = Lockout(total=12), 0.0, []
    for address, pause, right in attempts:
        now += pause
        locked, paused = lockout.locked_for(address, now), lockout.paused_for(now)
        gate = lockout.begin(address, now)
        assert (gate is Gate.LOCKED) == (locked > 0)
        if gate is Gate.PAUSED:
            assert paused > 0
        if gate is not Gate.OPEN:
            continue
        if right:
            lockout.succeeded(address, now)
            assert lockout.locked_for(address, now) == 0.0
        else:
            failed.append(now)
        assert lockout.locked_for(address, now) <= LONGEST_LOCK
        assert sum(now - at < 3600.0 for at in failed) <= 12
