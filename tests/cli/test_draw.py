"""The picture of a Snapshot, as text to be read."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.cli import draw
from nexus_tray.cli.console import Paint
from nexus_tray.model import (
    Activity,
    Hop,
    HopState,
    PathHop,
    Question,
    QuestionKind,
    Reason,
    ServiceKind,
    ServiceState,
    Snapshot,
)
from tests.api.doubles import AT, first_snapshot, service

LIMITED = Reason(
    code="tunnel-limited",
    hop=Hop.CLOUDFLARED,
    what="Cloudflare gave no quick tunnel: too many were asked for.",
    meaning="Nobody can reach OpenCode from outside now.",
    cure="Wait; it is tried again by itself.",
)


def with_trouble(**changes: Any) -> Snapshot:
    path = tuple(
        PathHop(hop=hop, state=HopState.DOWN, text="waits", reason=LIMITED)
        if hop is Hop.CLOUDFLARED
        else PathHop(hop=hop, state=HopState.UP, text="well")
        for hop in Hop
    )
    quick = service(
        "quick",
        ServiceKind.TUNNEL,
        state=ServiceState.BACKOFF,
        reason=LIMITED,
        next_try_at=AT + 95,
        restarts=2,
    )
    return msgspec.structs.replace(
        first_snapshot(),
        state=HopState.DOWN,
        headline="Not reachable",
        address=None,
        reason=LIMITED,
        path=path,
        services=(*first_snapshot().services[:2], quick),
        **changes,
    )


def test_a_trouble_is_told_once_with_its_cure_and_the_next_try() -> None:
    text = "\n".join(draw.status(with_trouble(), AT + 5, Paint()))
    assert (
        text
        == """\
✖ down  Not reachable

  ● device       up       well
  ● edge         up       well
  ✖ cloudflared  down     waits
                          Cloudflare gave no quick tunnel: too many were asked for.
                          Nobody can reach OpenCode from outside now.
                          Wait; it is tried again by itself.
  ● gateway      up       well
  ● opencode     up       well

Address   none

  ● opencode     running  for 5 s
  ● gateway      running  for 5 s
  ✖ quick        backoff  for 5 s, next try in 1 min, restarted 2 times"""
    )


@pytest.mark.parametrize("width", [50, 60, 80, 200])
def test_reasons_are_wrapped_below_each_other(width: int) -> None:
    lines = draw.status(with_trouble(), AT, Paint(), width)
    first = next(n for n, line in enumerate(lines) if "Cloudflare gave" in line)
    told = [line for line in lines[first:] if line.startswith(" " * draw.TEXT_COLUMN)]
    assert all(len(line) <= width for line in told)
    assert " ".join(line.strip() for line in told) == str(LIMITED)


def test_a_narrow_terminal_is_left_to_wrap_by_itself() -> None:
    assert draw.status(with_trouble(), AT, Paint(), 40) == draw.status(with_trouble(), AT, Paint())


def test_questions_that_wait_are_told() -> None:
    question = Question(
        id="per_1",
        kind=QuestionKind.PERMISSION,
        session_id="ses_1",
        directory="/srv",
        title="bash",
        detail="rm -rf build\x1b[2J",
    )
    text = draw.status(with_trouble(activity=Activity(questions=(question,))), AT, Paint())
    assert text[-2:] == [
        "OpenCode waits for an answer",
        "  permission   bash: rm -rf build\\x1b[2J",
    ]


@pytest.mark.parametrize("state", list(HopState))
def test_each_state_has_its_own_shape_and_word(state: HopState) -> None:
    for paint in (Paint(), Paint(shapes=False), Paint(colour=True)):
        marks = {paint.mark(each) for each in HopState}
        assert len(marks) == len(HopState)
        snapshot = msgspec.structs.replace(first_snapshot(), state=state)
        first = draw.status(snapshot, AT, paint)[0]
        assert paint.mark(state) in first
        assert state.value in first


def test_every_service_state_is_drawn() -> None:
    assert set(draw.STATE) == set(ServiceState)


@given(st.text(), st.text(), st.booleans())
def test_no_text_acts_on_the_terminal(one: str, two: str, colour: bool) -> None:
    snapshot = msgspec.structs.replace(
        first_snapshot(),
        headline=one,
        address=two,
        reason=Reason(code="x", hop=Hop.EDGE, what=one, meaning=two, cure=one),
        services=(service(two, ServiceKind.TUNNEL),),
    )
    lines = draw.status(snapshot, AT, Paint(colour=colour))
    plain = "".join(lines)
    for code in ("31", "32", "33", "90", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert not any((ord(c) < 32 and c != "\t") or 0x7F <= ord(c) < 0xA0 for c in plain)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"),
     (90000, "1 d 1 h")],
)  # fmt: skip
def test_spans(seconds: float, said: str) -> None:
    assert draw.span(seconds) == said


def test_a_service_given_up_names_the_command_that_tries_again() -> None:
    given_up = service("quick", ServiceKind.TUNNEL, state=ServiceState.FAILED)
    snapshot = msgspec.structs.replace(first_snapshot(), services=(given_up,))
    [line] = [row for row in draw.status(snapshot, AT, Paint()) if "failed" in row]
    assert "to try again: nexus-tray start quick" in line


def test_a_hop_that_says_what_happened_says_it_once() -> None:
    hop = PathHop(hop=Hop.EDGE, state=HopState.DOWN, text=LIMITED.what, reason=LIMITED)
    snapshot = msgspec.structs.replace(first_snapshot(), path=(hop,))
    text = "\n".join(draw.status(snapshot, AT, Paint()))
    assert text.count(LIMITED.what) == 1
    assert LIMITED.cure in text
