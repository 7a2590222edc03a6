"""The soak (tests/faults/soak): its schedule, that each of its checks can fail, and a short run.

The long one: python -m tests.faults.soak --minutes 30 --seed 1
"""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.soak import recorder
from tests.faults.soak.house import House
from tests.faults.soak.phone import compare, refused, told
from tests.faults.soak.play import play
from tests.faults.soak.schedule import BY_NAME, KINDS, draw
from tests.faults.soak.watch import Lines, Shown, Size, alive, grown
from tests.opencode_lab.provider import Provider


@given(st.integers(0, 10_000))
def test_a_seed_is_one_schedule(seed: int) -> None:
    faults = draw(seed, 50)
    assert faults == draw(seed, 80)[:50]
    assert [fault.number for fault in faults] == list(range(50))
    for fault in faults:
        least, most = BY_NAME[fault.name].hold
        assert least <= fault.hold <= most + 0.1
        assert fault.beside == "" or fault.beside in BY_NAME
        assert fault.within >= 30.0


@given(st.integers(0, 10_000))
def test_the_program_is_not_killed_so_often_that_the_guard_gives_it_up(seed: int) -> None:
    kills = [fault.number for fault in draw(seed, 300) if fault.name == "kill-program"]
    assert kills
    assert all(after - before > 15 for before, after in itertools.pairwise(kills))


def test_every_kind_comes_and_has_a_lever() -> None:
    assert {fault.name for fault in draw(1, 500)} == set(BY_NAME)
    assert draw(1, 50) != draw(2, 50)
    for kind in KINDS:
        assert hasattr(House, "_" + kind.name.replace("-", "_"))


def test_what_is_shown_for_too_long_is_seen() -> None:
    shown = Shown()
    dead = {7}
    assert shown.look([("opencode", 7), ("quick", 8)], lambda pid: pid not in dead, 100.0) == []
    assert shown.look([("opencode", 7)], lambda pid: pid not in dead, 101.9) == []
    late = shown.look([("opencode", 7)], lambda pid: pid not in dead, 102.1)
    assert late == ["opencode was shown running though process 7 is gone"]
    assert shown.look([("opencode", 9)], lambda pid: pid not in dead, 110.0) == []
    assert not alive(2**22 + 1)


def test_what_grows_is_seen() -> None:
    first, most = Size(40.0, 40, 25), Size(10.0, 5, 2)
    assert grown(first, Size(50.0, 45, 27), most) == []
    assert len(grown(first, Size(50.1, 46, 28), most)) == 3


def test_lines_that_are_lost_or_doubled_are_seen() -> None:
    lines = Lines()
    lines.add([(1, "soak line 5 1"), (2, "soak line 5 2"), (3, "another")])
    kept = [(1, "soak line 5 1"), (2, "soak line 5 2")]
    assert lines.doubled() == []
    assert lines.lost(kept, 1) == []
    assert lines.lost(kept[1:], 1) == ["log line (5, 1) (id 1) is gone"]
    assert lines.lost(kept[1:], 2) == []  # it had to make room
    lines.add([(9, "soak line 5 2")])
    assert lines.doubled() == ["log line (5, 2) stands there twice"]


def test_a_conversation_that_is_not_whole_is_seen() -> None:
    assert compare({1, 2}, [1, 2, 3]) == []
    assert compare({1, 2}, [1, 3]) == ["message 2 is gone"]
    assert compare(set(), [1, 1]) == ["message 1 stands there twice"]
    assert compare(set(), [2, 1]) == ["the messages are out of order"]
    message = {"info": {"role": "user"}, "parts": [{"text": "soak message 4 "}]}
    answer = {"info": {"role": "assistant"}, "parts": [{"text": "Hello"}]}
    assert told([message, answer]) == ([4], 1)


@pytest.mark.parametrize("status", [200, 204, 101])
def test_a_stranger_who_is_answered_is_seen(status: int) -> None:
    assert refused("GET", "/session", status)
    for fine in (0, 302, 303, 401, 403, 429, 502, 530):
        assert refused("GET", "/session", fine) == []


def test_the_recorder_sees_whose_requests_pass(tmp_path: Path, provider: Provider) -> None:
    """A request of a stranger's that did reach OpenCode would be seen: this one does."""
    house = House(tmp_path, provider)
    try:
        house.wait_works(60)
        assert recorder.seen(house.notes, recorder.OWNER) > 0
        assert recorder.seen(house.notes, recorder.STRANGER) == 0
        assert house.phone.request("GET", "/session?y=from-stranger").status == 200
        assert recorder.seen(house.notes, recorder.STRANGER) == 1
    finally:
        house.close()


@pytest.mark.timeout(400)
def test_a_minute_of_faults_leaves_everything_as_it_should_be(
    tmp_path: Path, provider: Provider
) -> None:
    house = House(tmp_path, provider)
    try:
        report = play(house, 7, 25.0)
        assert report.wrong == [], report.faults
        assert report.faults
        house.wait_works(30)
    finally:
        house.close()
