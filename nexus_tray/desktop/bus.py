"""One connection to the session bus, and the loop of the thread that owns it.

Owns waiting: for messages, and for what other threads post. Knows nothing of trays. The
thread that calls `run` is the only one that touches the connection; `post` and `stop` are
for any thread. jeepney is imported when a bus is opened, for only Linux has it.
"""

import contextlib
import queue
import select
import socket
from collections.abc import Callable
from typing import Any

from nexus_tray.model import Hop, Problem, Reason

PATIENCE = 2.0
"""Seconds that the bus, or a service that already runs on it, may take to answer."""


class Bus:
    """A connection, made on the thread that will `run` it. Raises Problem if there is none."""

    def __init__(self, address: str) -> None:
        from jeepney.io.blocking import open_dbus_connection

        try:
            self._connection = open_dbus_connection(address)
        except Exception as error:
            # jeepney fails in as many ways as an address can be wrong, authentication included
            raise Problem(_no_bus(address, error)) from error
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)
        self._stopped = False

    def ask(self, message: Any) -> tuple[Any, ...]:
        """Send a call and wait for its answer. Only before `run`: what comes meanwhile is lost.

        Raises LookupError when it is answered by an error, or not in time.
        """
        from jeepney import HeaderFields, MessageType

        try:
            answer = self._connection.send_and_get_reply(message, timeout=PATIENCE)
        except TimeoutError as error:
            raise LookupError("no answer in time") from error
        if answer.header.message_type is MessageType.error:
            raise LookupError(answer.header.fields.get(HeaderFields.error_name, "an error"))
        body: tuple[Any, ...] = answer.body
        return body

    def send(self, message: Any) -> int:
        """Send without waiting; the number that an answer will name."""
        serial: int = next(self._connection.outgoing_serial)
        self._connection.send(message, serial=serial)
        return serial

    def post(self, call: Callable[[], None]) -> None:
        """Have the loop's thread call this. Any thread; also before `run`."""
        self._calls.put(call)
        with contextlib.suppress(BlockingIOError, OSError):  # full: it wakes anyway; or closed
            self._waker.send(b"x")

    def stop(self) -> None:
        """Have `run` return. Any thread."""
        self.post(self._stop)

    def run(self, on_message: Callable[[Any], None]) -> None:
        """Hand over messages and carry out what is posted, until `stop`.

        Raises OSError when the bus is gone, which is the end of the desktop's session.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                while True:
                    self._calls.get_nowait()()
            if self._stopped:
                return
            self._receive(on_message)
            select.select([self._connection.sock, self._wake], [], [])
            with contextlib.suppress(BlockingIOError):
                self._wake.recv(4096)

    def close(self) -> None:
        """End the connection; on the thread that ran it."""
        self._connection.close()
        self._wake.close()
        self._waker.close()

    def _receive(self, on_message: Callable[[Any], None]) -> None:
        """Everything that has come: the parser may hold messages that the socket no longer has."""
        with contextlib.suppress(TimeoutError):
            while not self._stopped:
                on_message(self._connection.receive(timeout=0))

    def _stop(self) -> None:
        self._stopped = True


def _no_bus(address: str, error: Exception) -> Reason:
    return Reason(
        code="no-session-bus",
        hop=Hop.DEVICE,
        what=f"The desktop's message bus at {address} does not answer: {error}.",
        meaning="Without it there is no tray icon; everything else works.",
        cure="Start Nexus Tray from within the desktop session, or with --headless.",
    )
