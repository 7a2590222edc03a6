"""The walk over the store: pages that are empty, lines that come meanwhile, a dead end."""

import pytest

from nexus_tray.api import export
from nexus_tray.core.journal import Journal
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.model import Level, LogLine, LogPage, LogQuery, Problem
from tests.api.doubles import AT, MemorySettings, reports


def line(number: int) -> LogLine:
    return LogLine(id=number, at=AT, source="opencode", level=Level.INFO, text="x")


class Script:
    """A log store that answers these pages, one after the other."""

    def __init__(self, *pages: LogPage) -> None:
        self.pages = list(pages)
        self.asked: list[int | None] = []

    def query(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        self.asked.append(query.after)
        return self.pages.pop(0)


def exported(script: Script) -> list[int]:
    backend = LocalBackend(Journal("b", lambda: AT), script, MemorySettings(), {}, reports())
    query = LogQuery(pattern="x")
    page, newest = export.first_page(backend, query)
    return [found.id for found in export.lines(backend, query, page, newest)]


NEWEST = LogPage(lines=(line(9),), last_id=9, more=True)


def test_an_empty_page_that_is_not_the_last_does_not_end_it() -> None:
    script = Script(
        NEWEST,
        LogPage(lines=(line(1), line(2)), last_id=2, more=True),
        LogPage(lines=(), last_id=5, more=True),
        LogPage(lines=(line(7),), last_id=9, more=False),
    )
    assert exported(script) == [1, 2, 7]
    assert script.asked == [None, 0, 2, 5]


def test_lines_that_come_meanwhile_do_not_make_it_endless() -> None:
    script = Script(NEWEST, LogPage(lines=(line(8), line(9), line(10)), last_id=10, more=True))
    assert exported(script) == [8, 9]


def test_a_line_that_cannot_be_judged_ends_it_and_is_said() -> None:
    stuck = LogPage(lines=(), last_id=3, more=True)
    script = Script(NEWEST, LogPage(lines=(line(1),), last_id=3, more=True), stuck)
    with pytest.raises(Problem) as caught:
        exported(script)
    assert caught.value.reason.code == "log-export-stuck"
