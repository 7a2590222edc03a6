"""Run by test_writes in a process of its own: lines into the logs until it is killed.

`python -m tests.faults.log_writer DATABASE` appends numbered lines as fast as it can,
small bound, so that storing, indexing and trimming all go on when the kill comes. It
writes to standard output the newest id that a search has shown to be stored.
"""

import itertools
import sys
from pathlib import Path

from nexus_tray.model import Level, LogQuery
from nexus_tray.store.logs import LogStore


def main(database: str) -> None:
    store = LogStore(Path(database), 2_000_000)
    for number in itertools.count():
        store.append("flood", Level.INFO, f"line {number} " + "x" * 60)
        if number % 400 == 399:
            # Waits for the writer, so the queue never overflows and nothing is dropped.
            last = store.query(LogQuery(limit=1)).last_id
            page = store.query(LogQuery(after=last, limit=1), timeout=1)
            sys.stdout.write(f"{page.last_id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
