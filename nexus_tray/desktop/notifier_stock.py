"""Notifications on macOS and Windows, by the library that knows both.

Owns one thread with one event loop, which the library wants for its callbacks. `show`,
`withdraw` and `close` are for any thread. On macOS clicks come only in an application's
bundle with a run loop on the main thread, which the tray's is; a program that is not in a
bundle cannot show any there, and the library says so in the log.
"""

import asyncio
import contextlib
import functools
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from nexus_tray.desktop.notice_words import Button, Notice
from nexus_tray.desktop.notifier import NAME, OnClick

logger = logging.getLogger(__name__)

MOST = 50
"""Notifications that are kept in mind; beyond, the oldest is taken back."""
PATIENCE = 10.0
"""Seconds that the system may take for one notification."""
END_SECONDS = 5.0

Work = Callable[[], Coroutine[Any, Any, None]]


class StockNotifier:
    """See `notifier.Notifier`."""

    def __init__(self, on_click: OnClick) -> None:
        self._on_click = on_click
        self._numbers = itertools.count(1)
        self._shown: dict[str, str] = {}
        self._work: asyncio.Queue[Work | None] = asyncio.Queue()
        self._loop = asyncio.new_event_loop()
        self._library: Any = None
        self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
        self._thread.start()

    def show(self, notice: Notice) -> None:
        """See Notifier."""
        self._post(lambda: self._show(notice))

    def withdraw(self, key: str) -> None:
        """See Notifier."""
        self._post(lambda: self._withdraw(key))

    def close(self) -> None:
        """See Notifier."""
        self._post(None)
        self._thread.join(END_SECONDS)

    def _post(self, work: Work | None) -> None:
        with contextlib.suppress(RuntimeError):  # ended
            self._loop.call_soon_threadsafe(self._work.put_nowait, work)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        """One after the other, so that a later word is the last."""
        while (work := await self._work.get()) is not None:
            await self._do(work)
        for key in list(self._shown):
            await self._do(functools.partial(self._withdraw, key))

    async def _do(self, work: Work) -> None:
        try:
            await asyncio.wait_for(work(), PATIENCE)
        except Exception:
            # systems fail in ways of their own; the next may succeed
            logger.exception("The desktop could not be told.")

    async def _show(self, notice: Notice) -> None:
        import desktop_notifier as library

        if self._library is None:
            self._library = library.DesktopNotifier(NAME, app_icon=None)
        await self._withdraw(notice.key)
        while len(self._shown) >= MOST:
            await self._withdraw(next(iter(self._shown)))
        # Windows takes at most 64 characters for a name, so the key itself may be too long.
        name = f"nexus-tray-{next(self._numbers)}"
        self._shown[notice.key] = name
        await self._library.send_notification(
            library.Notification(
                title=notice.title,
                message=notice.text,
                urgency=library.Urgency.Critical if notice.urgent else library.Urgency.Normal,
                buttons=tuple(
                    library.Button(title=button.label, on_pressed=self._hearer(notice, button))
                    for button in notice.buttons
                ),
                on_clicked=self._hearer(notice, None),
                on_dismissed=lambda: self._forget(notice.key, name),
                identifier=name,
            )
        )

    def _hearer(self, notice: Notice, button: Button | None) -> Callable[[], None]:
        def hear() -> None:
            self._shown.pop(notice.key, None)
            self._on_click(notice, button)

        return hear

    def _forget(self, key: str, name: str) -> None:
        if self._shown.get(key) == name:
            del self._shown[key]

    async def _withdraw(self, key: str) -> None:
        name = self._shown.pop(key, None)
        if name is not None and self._library is not None:
            await self._library.clear(name)
