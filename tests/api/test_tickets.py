"""A ticket is good once, for a minute; what it becomes is good until the program ends."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.api.tickets import MOST_SESSIONS, MOST_TICKETS, TICKET_SECONDS, Hashes, Tickets
from nexus_tray.model import Hop, Problem, Reason


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_ticket_becomes_a_token_once() -> None:
    tickets = Tickets(Clock())
    ticket = tickets.issue()
    token = tickets.redeem(ticket)
    assert token is not None
    assert tickets.admits(token)
    assert tickets.redeem(ticket) is None
    assert not tickets.admits(ticket)


def test_a_ticket_is_good_for_a_minute() -> None:
    clock = Clock()
    tickets = Tickets(clock)
    early, late = tickets.issue(), tickets.issue()
    clock.now += TICKET_SECONDS
    assert tickets.redeem(early) is not None
    clock.now += 0.001
    assert tickets.redeem(late) is None


def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    tickets = Tickets(Clock())
    first = tickets.issue()
    for _ in range(MOST_TICKETS):
        tickets.issue()
    assert tickets.redeem(first) is None
    tokens = [tickets.redeem(tickets.issue()) or "" for _ in range(MOST_SESSIONS)]
    assert tickets.admits(tokens[0])  # used, so it is no longer the one that was silent longest
    tickets.redeem(tickets.issue())
    assert tickets.admits(tokens[0])
    assert not tickets.admits(tokens[1])


@given(st.text())
def test_nothing_made_up_is_admitted(text: str) -> None:
    tickets = Tickets(Clock())
    tickets.redeem(tickets.issue())
    tickets.issue()
    assert tickets.redeem(text) is None
    assert not tickets.admits(text)


def test_one_of_many_at_once_gets_the_token() -> None:
    tickets = Tickets(Clock())
    ticket = tickets.issue()
    start = threading.Barrier(20)
    got: list[str | None] = []

    def redeem() -> None:
        start.wait()
        got.append(tickets.redeem(ticket))

    threads = [threading.Thread(target=redeem) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(token is not None for token in got) == 1


def test_nothing_is_kept_in_clear() -> None:
    tickets = Tickets(Clock())
    ticket, token = tickets.issue(), tickets.redeem(tickets.issue()) or ""
    kept = repr(vars(tickets))
    assert ticket not in kept
    assert token not in kept


def test_the_next_program_admits_whom_this_one_did() -> None:
    kept: list[Hashes] = []
    first = Tickets(keep=kept.append)
    tokens = [first.redeem(first.issue()) or "" for _ in range(3)]
    ticket = first.issue()
    second = Tickets(sessions=kept[-1], keep=kept.append)
    assert all(second.admits(token) for token in tokens)
    assert second.redeem(ticket) is None  # a link that was not used yet dies with its program
    assert not any(token in repr(kept) for token in tokens)


def test_who_asks_by_the_token_of_the_program_before_is_answered() -> None:
    kept: list[Hashes] = []
    first = Tickets(keep=kept.append, own="the first")
    first.void_all()  # pages end, programs of this user do not
    second = Tickets(sessions=kept[-1], keep=kept.append, own="the second")
    assert second.admits("the first")
    second.void_all()
    assert not second.admits("the first")
    assert Tickets(sessions=kept[-1]).admits("the second")


def test_all_can_be_ended_for_good() -> None:
    kept: list[Hashes] = []
    tickets = Tickets(keep=kept.append)
    token, ticket = tickets.redeem(tickets.issue()) or "", tickets.issue()
    tickets.void_all()
    assert not tickets.admits(token)
    assert tickets.redeem(ticket) is None
    assert kept[-1] == ()


def test_a_full_disk_keeps_nobody_out_and_is_told_when_it_matters() -> None:
    def full(_: Hashes) -> None:
        raise Problem(Reason(code="disk-full", hop=Hop.GATEWAY, what="Full."))

    tickets = Tickets(keep=full)
    token = tickets.redeem(tickets.issue()) or ""
    assert tickets.admits(token)
    with pytest.raises(Problem, match="Full"):
        tickets.void_all()
    assert not tickets.admits(token)
