"""The audit trail as a file: every match once, one line each, and nothing in it acts."""

import csv
import dataclasses
import io
import json
from typing import Any

import pytest

from nexus_tray.api.routes import PREFIX
from nexus_tray.reports import AuditEntry, AuditPage, AuditQuery
from tests.api.doubles import AT, House
from tests.api.doubles import house as build
from tests.api.wires import ask, served

TEXTS = ["plain, with a comma", '=cmd|"/c calc"!A1', "\x1b]0;t\x07 \r\n\u202eabc \x9b31m"]


def trail(query: AuditQuery) -> AuditPage:
    """2502 rows with ids from 2502 down, as the store pages them."""
    top = 2503 if query.before is None else query.before
    ids = range(top - 1, max(0, top - 1 - query.limit), -1)
    entries = tuple(
        AuditEntry(id=n, at=AT, event="denied", who="=who", address="a", text=TEXTS[n % 3])
        for n in ids
    )
    return AuditPage(entries=entries, more=bool(entries) and entries[-1].id > 1)


@pytest.fixture
def house() -> House[Any]:
    house = build()
    house.reports = dataclasses.replace(house.reports, audit=trail)
    return house


def exported(house: House[Any], form: str) -> Any:
    with served(house.backend) as server:
        return ask(server, "GET", f"{PREFIX}/audit/export?format={form}")


def test_every_match_once_newest_first(house: House[Any]) -> None:
    reply = exported(house, "jsonl")
    assert [json.loads(line)["id"] for line in reply.body.splitlines()] == [*range(2502, 0, -1)]
    name = reply.headers["Content-Disposition"]
    assert name == 'attachment; filename="nexus-tray-audit.jsonl"'


def test_text_is_one_inert_line_a_row(house: House[Any]) -> None:
    body = exported(house, "text").body.decode()
    assert len(body.splitlines()) == 2502
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in body)
    assert "2026-09-21T14:13:20.000Z denied a =who plain, with a comma" in body.splitlines()


def test_no_cell_of_a_csv_is_a_formula(house: House[Any]) -> None:
    body = exported(house, "csv").body.decode()
    rows = list(csv.reader(io.StringIO(body, newline="")))
    assert rows[0] == ["time", "event", "who", "address", "text"]
    assert len(rows) == 2503
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert '\'=cmd|"/c calc"!A1' in {row[4] for row in rows}
