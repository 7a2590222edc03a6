"""Reading the logs: filters, words by the index, patterns line by line, all within a time.

Owns the meaning of a `LogQuery`. Imports the model and its own room. Any thread may call
`read`; each call has a connection and one read transaction of its own, so it sees the
logs as they were at one moment and never waits for the writer.

SQLite does the coarse choosing (its calls run without Python's lock), in windows of
bounded size; what it lets through is judged here exactly. So the indexed lines and the
tail that is not indexed yet answer alike.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

from nexus_tray.model import Hop, Level, LogLine, LogPage, LogQuery, Problem, Reason
from nexus_tray.store import log_pattern
from nexus_tray.store.log_automaton import TooSlow
from nexus_tray.store.log_file import ENDS

TIME_LIMIT = 3.0
LINE_LIMIT = 10_000
# Ids per statement: some ten milliseconds of SQLite, then the clock is looked at.
_WINDOW = 16_384
# The coarse choice may be by the first words alone: SQLite bounds what one statement holds.
_CHOOSERS = 16
_COLUMNS = "l.id, l.at, s.name, l.level, l.text"
_LEVELS = tuple(Level)

Test = Callable[[str], bool]


def read(path: Path, query: LogQuery, time_limit: float = TIME_LIMIT) -> LogPage:
    """Answer a query. `limit` is taken as at most LINE_LIMIT.

    After `time_limit` seconds what was found is answered with `more`; a search backwards
    that found nothing by then raises Problem "log-query-slow". A pattern that cannot be
    understood: Problem "log-pattern-invalid". Damage: sqlite3.DatabaseError.
    """
    tests = [*map(word_test, query.words.split())]
    deadline = monotonic() + time_limit
    if query.pattern:
        tests.append(log_pattern.compile_pattern(query.pattern, deadline))
    # Never create it: while a damaged file is being replaced there is none for a moment.
    address = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None, timeout=5)) as database:
        database.execute("PRAGMA query_only = ON")
        database.execute("BEGIN")
        search = _Search(database, query, tests, deadline)
        return search.forwards() if query.after is not None else search.backwards()


def word_test(word: str) -> Test:
    """Does the word occur, whatever its case? A letter or digit (ASCII) must begin a word."""
    # Of an ASCII word only ASCII is folded, exactly as LIKE does.
    search = re.compile(re.escape(word), re.I | (re.A if word.isascii() else re.U)).search
    anywhere = not (word[0].isascii() and word[0].isalnum())

    def occurs(text: str) -> bool:
        found = search(text)
        while found and not anywhere and found.start() and _in_word(text[found.start() - 1]):
            found = search(text, found.start() + 1)
        return found is not None

    return occurs


def _in_word(character: str) -> bool:
    """Is it part of a word to FTS5's unicode61: letters, numbers, marks, private use."""
    return unicodedata.category(character)[0] in "LNM" or unicodedata.category(character) == "Co"


def index_terms(word: str) -> list[str]:
    """FTS5 terms that every line with the word has; none if only reading can tell.

    Only runs of ASCII letters and digits that surely begin a token: at the word's own
    beginning, or after an ASCII separator. One that the word's end or a foreign letter
    may cut short is a prefix.
    """
    terms = []
    for run in re.finditer(r"(?:^|(?<=[\x00-/:-@\[-`{-\x7f]))[0-9A-Za-z]+", word):
        follower = word[run.end() : run.end() + 1]
        terms.append(f'"{run.group()}"' + ("" if follower.isascii() and follower else "*"))
    return terms


class _Search:
    """One query in its read transaction."""

    def __init__(
        self, database: sqlite3.Connection, query: LogQuery, tests: list[Test], deadline: float
    ) -> None:
        self._run = database.execute
        self._query = query
        self._tests = tests
        self._deadline = deadline
        self._limit = max(1, min(query.limit, LINE_LIMIT))
        self._found: list[LogLine] = []
        first, newest = self._run(ENDS).fetchone()
        self._first: int = first or 0
        self._newest: int = newest or 0
        self._judged = 0
        self._where, self._values = self._filters()

    def forwards(self) -> LogPage:
        """Matches above `after`, oldest first; `last_id` is how far was looked.

        However little time there is, it comes at least one line further.
        """
        start = self._query.after or 0
        # Above everything: ids of a log that is gone (it was damaged). Begin with this one.
        seen = max(start if start <= self._newest else 0, self._first - 1)
        end = min(self._newest, self._top() - 1)
        while seen < end:
            until = min(seen + _WINDOW, end)
            if not self._take(self._plain(seen + 1, until, "ASC")):
                full = len(self._found) > self._limit
                return self._page(last_id=self._found[-2].id if full else self._judged, more=True)
            seen = until
            if seen < end and self._is_late():
                return self._page(last_id=seen, more=True)
        return self._page(last_id=self._newest, more=False)

    def backwards(self) -> LogPage:
        """The newest matches below `before`, oldest first."""
        more = False
        for number, rows in enumerate(self._windows_down()):
            if (number and self._is_late()) or not self._take(rows):
                more = True
                break
        if more and not self._found:
            raise Problem(_slow())
        return self._page(last_id=self._newest, more=more)

    def _windows_down(self) -> Iterator[sqlite3.Cursor]:
        """Candidates from new to old: some lines plainly, then by the index, table by table.

        Plainly first what is not indexed yet, but at least one window: a frequent word is
        found there sooner than the index has sorted its many lines.
        """
        top = min(self._newest, self._top() - 1)
        terms = [term for word in self._query.words.split() for term in index_terms(word)]
        terms = terms[:_CHOOSERS]
        if not terms:
            yield from self._scan_down(self._first, top)
            return
        indexed = self._run("SELECT coalesce(max(last), 0) FROM segment").fetchone()[0]
        below = max(self._first, min(indexed + 1, top - _WINDOW + 1))
        yield from self._scan_down(below, top)
        for (segment,) in self._run("SELECT id FROM segment ORDER BY id DESC").fetchall():
            words = f"words_{segment}"
            yield self._run(
                f"SELECT {_COLUMNS} FROM {words} CROSS JOIN line l ON l.id = {words}.rowid"  # noqa: S608
                f" JOIN source s ON s.id = l.source WHERE {words} MATCH ? AND {words}.rowid < ?"
                f"{self._where} ORDER BY {words}.rowid DESC",
                (" AND ".join(terms), min(below, top + 1), *self._values),
            )

    def _scan_down(self, first: int, top: int) -> Iterator[sqlite3.Cursor]:
        while top >= first:
            low = max(first, top - _WINDOW + 1)
            yield self._plain(low, top, "DESC")
            top = low - 1

    def _plain(self, low: int, high: int, order: str) -> sqlite3.Cursor:
        likes, values = self._likes()
        grave = " INDEXED BY grave" if self._query.level.rank >= Level.WARNING.rank else ""
        return self._run(
            f"SELECT {_COLUMNS} FROM line l{grave} JOIN source s ON s.id = l.source"  # noqa: S608
            f" WHERE l.id BETWEEN ? AND ?{self._where}{likes} ORDER BY l.id {order}",
            (low, high, *self._values, *values),
        )

    def _take(self, rows: sqlite3.Cursor) -> bool:
        """Keep what passes the tests; False once one too many was found, or time is up."""
        for id_, at, source, level, text in rows:
            self._judged = id_
            if self._passes(text):
                self._found.append(
                    LogLine(id=id_, at=at / 1000, source=source, level=_LEVELS[level], text=text)
                )
                if len(self._found) > self._limit:
                    return False
            if self._is_late():
                return False
        return True

    def _passes(self, text: str) -> bool:
        """Does a line pass every test? One that took until the deadline is passed over."""
        try:
            return all(test(text) for test in self._tests)
        except TooSlow:
            return False

    def _is_late(self) -> bool:
        return monotonic() > self._deadline

    def _top(self) -> int:
        before = self._query.before
        return self._newest + 1 if before is None else before

    def _filters(self) -> tuple[str, list[object]]:
        query, clauses, values = self._query, "", list[object]()
        if query.sources:
            clauses += f" AND s.name IN ({', '.join('?' * len(query.sources))})"
            values += query.sources
        if query.level.rank >= Level.WARNING.rank:
            clauses += " AND l.level >= 2"  # in these words the index knows it
        if query.level.rank:
            clauses += " AND l.level >= ?"
            values.append(query.level.rank)
        if query.since_at is not None:
            clauses += " AND l.at >= ?"
            values.append(query.since_at * 1000)
        if query.until_at is not None:
            clauses += " AND l.at <= ?"
            values.append(query.until_at * 1000)
        return clauses, values

    def _likes(self) -> tuple[str, list[object]]:
        """A coarse choice for lines without index: LIKE, which folds ASCII as we do."""
        words = [word for word in self._query.words.split() if word.isascii() and len(word) < 999]
        words = [*words[:_CHOOSERS], *log_pattern.literals(self._query.pattern)]
        escaped = [re.sub(r"([\\%_])", r"\\\1", word) for word in words]
        return r" AND l.text LIKE ? ESCAPE '\'" * len(words), [f"%{word}%" for word in escaped]

    def _page(self, *, last_id: int, more: bool) -> LogPage:
        lines = self._found[: self._limit]
        if self._query.after is None:
            lines.reverse()
        return LogPage(lines=tuple(lines), last_id=last_id, more=more)


def _slow() -> Reason:
    return Reason(
        code="log-query-slow",
        hop=Hop.GATEWAY,
        what=f"Nothing was found in the newest logs within {TIME_LIMIT:.0f} seconds.",
        meaning="Older lines were not looked at.",
        cure="Narrow the search: name a source or a time, or give a whole word.",
    )
