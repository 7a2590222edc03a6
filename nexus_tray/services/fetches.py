"""The programs on their way here: begun, watched, ended.

Owns one thread for each download under way and what came of it last. Cancelled, nothing of one is
left; when the program ends or the network breaks, what is here is gone on with next time. The
downloads are `download` and `opencode_install`, which check what they fetch. Imports the model,
the reports and this room. Any thread may call; nothing here blocks but `close`, for a moment.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import Fetch
from nexus_tray.services.progress import Cancelled, Progress, Suspended

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 1.0


@dataclass
class _Way:
    """One download under way."""

    over: threading.Event = field(default_factory=threading.Event)
    end: type[Cancelled] = Cancelled
    fetch: Fetch = field(default_factory=Fetch)
    thread: threading.Thread | None = None


class Fetches:
    """Downloads by name. `installers` fetch one each, telling a `Progress`; `on_done` hears the
    name once it is there, in the download's thread."""

    def __init__(
        self, installers: Mapping[str, Callable[[Progress], Path]], on_done: Callable[[str], None]
    ) -> None:
        self._installers = installers
        self._on_done = on_done
        self._lock = threading.Lock()
        self._ways: dict[str, _Way] = {}
        self._failed: dict[str, Reason] = {}
        self._closed = False
        self._one_at_a_time = {name: threading.Lock() for name in installers}

    def begin(self, name: str) -> None:
        """Fetch it, unless it is on its way already. Raises Problem for an unknown name."""
        if name not in self._installers:
            raise Problem(unknown_tool(name))
        with self._lock:
            if name in self._ways or self._closed:
                return
            self._failed.pop(name, None)
            way = _Way()
            way.thread = threading.Thread(
                target=self._fetch, args=(name, way), name=f"fetch {name}", daemon=True
            )
            self._ways[name] = way
            way.thread.start()

    def cancel(self, name: str) -> None:
        """It is no longer wanted; what is half here is removed by its thread."""
        if name not in self._installers:
            raise Problem(unknown_tool(name))
        with self._lock:
            way = self._ways.pop(name, None)
        if way is not None:
            way.over.set()

    def state(self, name: str) -> tuple[Fetch | None, Reason | None]:
        """How far it is (None: not on its way), and why it failed last, if it did."""
        with self._lock:
            way = self._ways.get(name)
            return (way.fetch if way else None), self._failed.get(name)

    def close(self) -> None:
        """Begin no more, and end what is on its way."""
        with self._lock:
            self._closed = True
            ways = list(self._ways.values())
            self._ways.clear()
        for way in ways:
            way.end = Suspended
            way.over.set()
        end = time.monotonic() + CLOSE_SECONDS
        for way in ways:
            if way.thread is not None:
                way.thread.join(max(0.0, end - time.monotonic()))

    def _fetch(self, name: str, way: _Way) -> None:
        def progress(done_bytes: int, total_bytes: int | None) -> None:
            if way.over.is_set():
                raise way.end
            way.fetch = Fetch(done_bytes=done_bytes, total_bytes=total_bytes)

        try:
            with self._one_at_a_time[name]:  # one that was cancelled may still be tidying up
                self._installers[name](progress)
            logger.info("%s was fetched.", name)
            self._end(name, way, None)
            self._on_done(name)
        except Cancelled:
            logger.info("Fetching %s was ended.", name)
        except Problem as problem:
            logger.warning("%s", problem.reason)
            self._end(name, way, problem.reason)
        except Exception:
            logger.exception("Fetching %s failed.", name)
            self._end(name, way, _unforeseen(name))

    def _end(self, name: str, way: _Way, reason: Reason | None) -> None:
        with self._lock:
            if self._ways.get(name) is way:
                del self._ways[name]
                if reason is not None:
                    self._failed[name] = reason


def unknown_tool(name: str) -> Reason:
    """There is no such program."""
    return Reason(
        code="tool-unknown",
        hop=Hop.GATEWAY,
        what=f"There is no program “{name}” that we could fetch.",
        cure="There are: opencode, cloudflared.",
    )


def _unforeseen(name: str) -> Reason:
    return Reason(
        code="fetch-unforeseen",
        hop=Hop.GATEWAY,
        what=f"{name} could not be fetched.",
        meaning="The log of Nexus Tray says why.",
        cure=f"Try again, or install {name} yourself and put it on PATH.",
    )
