"""The second factor as stored: each code once, however many ask at once; deed and row together."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_tray.store.accounts import ABSOLUTE_SECONDS, SessionRow, Spend
from nexus_tray.store.second_factor import CODES, SecondFactorStore, plain

from .vaults import Store, open_store

STEP = 59_833_333
AT_ONCE = 50


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "data" / "nexus.db")
    yield store
    store.close()


@pytest.fixture
def factor(store: Store) -> SecondFactorStore:
    return SecondFactorStore(store.database, store.audit, store.clock)


def signs_in(store: Store, name: str, spend: Spend) -> bool:
    now = store.clock()
    row = SessionRow(
        id=name, door="tunnel", host="h", name=name, address="192.0.2.1",
        created_at=now, seen_at=now, expires_at=now + ABSOLUTE_SECONDS,
    )  # fmt: skip
    return store.accounts.add_session(row, name, password_id=None, old=None, spend=spend)


def test_it_is_off_until_turned_on_and_after_it_was_turned_off(
    store: Store, factor: SecondFactorStore
) -> None:
    assert (factor.row(), factor.codes_left()) == (None, 0)
    factor.turn_off()
    factor.turn_on("f1", STEP)
    row = factor.row()
    assert row is not None
    assert (row.id, row.set_at, factor.codes_left()) == ("f1", store.clock(), CODES)
    factor.turn_off()
    assert (factor.row(), factor.codes_left()) == (None, 0)
    rows = [(str(r.event), r.who) for r in store.audit.newest()]
    assert rows == [("second-factor-removed", "owner"), ("second-factor-set", "owner")]


@pytest.mark.parametrize(
    ("factor_id", "step", "taken"),
    [
        ("f1", STEP - 1, False),
        ("f1", STEP, False),  # the code that it was confirmed with
        ("f1", STEP + 1, True),
        ("another", STEP + 1, False),
    ],
)
def test_only_a_later_step_of_this_factor_is_taken(
    store: Store, factor: SecondFactorStore, factor_id: str, step: int, taken: bool
) -> None:
    factor.turn_on("f1", STEP)
    assert signs_in(store, "a", factor.spending_step(factor_id, step)) is taken
    assert not signs_in(store, "b", factor.spending_step(factor_id, step))
    assert len(store.accounts.sessions()) == taken


@pytest.mark.parametrize("kind", ["code", "recovery"])
def test_of_many_at_once_one_comes_in(store: Store, factor: SecondFactorStore, kind: str) -> None:
    codes = factor.turn_on("f1", STEP)
    of_kind = {
        "code": factor.spending_step("f1", STEP + 1),
        "recovery": factor.spending_code(codes[0]),
    }
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda n: signs_in(store, f"s{n}", of_kind[kind]), range(AT_ONCE)))
    assert came.count(True) == len(store.accounts.sessions()) == 1


def test_a_session_that_is_not_stored_uses_up_nothing(
    store: Store, factor: SecondFactorStore
) -> None:
    code = factor.turn_on("f1", STEP)[0]

    def spend_and_fail(connection: sqlite3.Connection) -> bool:
        assert factor.spending_code(code)(connection)
        assert factor.spending_step("f1", STEP + 1)(connection)
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        signs_in(store, "a", spend_and_fail)
    assert factor.codes_left() == CODES
    assert signs_in(store, "a", factor.spending_step("f1", STEP + 1))


def test_recovery_codes_are_long_differ_and_are_read_as_people_write_them(
    store: Store, factor: SecondFactorStore
) -> None:
    codes = factor.turn_on("f1", STEP)
    assert len(set(codes)) == CODES
    assert all(len(plain(code)) * 5 >= 80 for code in codes), "bits"
    written = (codes[0], codes[1].upper(), codes[2].replace("-", " "), plain(codes[3]))
    for number, code in enumerate(written):
        assert signs_in(store, f"s{number}", factor.spending_code(code)), code
    assert factor.codes_left() == CODES - len(written)


@pytest.mark.parametrize("code", ["", "-", "000000", "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa", "\ud800"])
def test_no_other_code_is_one(store: Store, factor: SecondFactorStore, code: str) -> None:
    factor.turn_on("f1", STEP)
    assert not signs_in(store, "a", factor.spending_code(code))
    assert factor.codes_left() == CODES


def test_new_codes_void_the_old_and_have_a_row(store: Store, factor: SecondFactorStore) -> None:
    old = factor.turn_on("f1", STEP)
    new = factor.renew_codes() or ()
    assert not signs_in(store, "a", factor.spending_code(old[0]))
    assert signs_in(store, "b", factor.spending_code(new[0]))
    assert str(store.audit.newest()[-2].event) == "recovery-codes-made"


def test_codes_are_renewed_only_while_it_is_on(store: Store, factor: SecondFactorStore) -> None:
    """Within the transaction: codes of a factor that is off would count once it is on again."""
    assert factor.renew_codes() is None
    factor.turn_on("f1", STEP)
    factor.turn_off()
    assert factor.renew_codes() is None
    assert factor.codes_left() == 0
    assert "recovery-codes-made" not in [str(row.event) for row in store.audit.newest()]


def test_no_code_is_enough_only_while_it_is_off(store: Store, factor: SecondFactorStore) -> None:
    assert signs_in(store, "a", factor.spending_nothing())
    factor.turn_on("f1", STEP)
    assert not signs_in(store, "b", factor.spending_nothing())
