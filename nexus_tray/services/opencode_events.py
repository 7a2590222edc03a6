"""OpenCode's server-sent events: one subscription, read event by event.

Owns the stream's connection and the cutting into events. Imports `opencode_client`. A
stream belongs to the thread that reads it; any thread may `interrupt` it.
"""

import select
import socket

from nexus_tray.services.opencode_client import OpenCodeClient, Trouble

HEAD_LIMIT = 64 * 1024
HEAD_PATIENCE = 5.0
"""Seconds that opening may take: only afterwards can another thread interrupt."""
EVENT_LIMIT = 4 * 1024 * 1024


class EventStream:
    """One open subscription to `path`: hands out the `data:` of each event, bounded.

    Opening it raises Unwell; `timeout` is the longest silence, in seconds. Asked in
    HTTP/1.0, so that the body comes without chunks (measured): whether an event waits is
    then exactly whether the socket is readable.
    """

    def __init__(self, client: OpenCodeClient, path: str, timeout: float) -> None:
        self._client = client
        self._path = path
        self._splitter = Splitter()
        self._begun = b""  # what came together with the head
        upstream = client.upstream
        try:
            self._sock = socket.create_connection(
                (upstream.host, upstream.port), min(timeout, HEAD_PATIENCE)
            )
        except OSError as error:
            raise client.failed(error, path) from error
        try:
            self._subscribe()
            self._sock.settimeout(timeout)
        except OSError as error:
            self._sock.close()
            raise client.failed(error, path) from error
        except BaseException:
            self._sock.close()
            raise

    def _subscribe(self) -> None:
        upstream = self._client.upstream
        head = f"GET {self._path} HTTP/1.0\r\nHost: {upstream.host}\r\nAuthorization: "
        self._sock.sendall(head.encode("ascii") + upstream.authorization + b"\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            part = self._sock.recv(65536)
            data += part
            if not part or len(data) > HEAD_LIMIT:
                what = f"OpenCode did not answer {self._path} in HTTP."
                raise self._client.trouble(Trouble.NOT_JSON, what)
        received, _, self._begun = data.partition(b"\r\n\r\n")
        self._judge(*received.lower().split(b"\r\n"))

    def _judge(self, first: bytes, *fields: bytes) -> None:
        """Refuse a head that does not begin an event stream."""
        if not first.startswith(b"http/1.") or first.split(b" ")[1:2] != [b"200"]:
            what = f"OpenCode refused {self._path}: {first[:80].decode('latin-1')}."
            raise self._client.trouble(Trouble.STATUS, what)
        kinds = [field for field in fields if field.startswith(b"content-type:")]
        if not kinds or b"text/event-stream" not in kinds[0]:
            what = f"OpenCode answered {self._path} with something else."
            raise self._client.trouble(Trouble.NOT_JSON, what)

    @property
    def lost(self) -> int:
        """How many events were too large and were dropped."""
        return self._splitter.lost

    def readable(self, wait: float) -> bool:
        """Whether there is something to read, now or within `wait` seconds."""
        if self._begun:
            return True
        return bool(select.select([self._sock], [], [], max(0.0, wait))[0])

    def next(self) -> list[bytes]:
        """Wait for bytes and return the events they complete (perhaps none).

        Raises Unwell when the stream ended or was silent for too long.
        """
        data, self._begun = self._begun, b""
        if not data:
            try:
                data = self._sock.recv(65536)
            except OSError as error:
                what = f"OpenCode's event stream broke: {error}."
                raise self._client.trouble(Trouble.SILENT, what) from error
        if not data:
            raise self._client.trouble(Trouble.REFUSED, "OpenCode's event stream has ended.")
        return self._splitter.feed(data)

    def interrupt(self) -> None:
        """Make a blocked `next` raise; from any thread."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # already gone, which is what was wanted

    def close(self) -> None:
        """End the subscription; from the thread that reads it."""
        self._sock.close()


class Splitter:
    """Cuts a byte stream into events (WHATWG HTML 9.2.6, LF only, as OpenCode sends).

    An event over `limit` bytes is dropped and counted, so that memory stays bounded.
    """

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self.lost = 0
        self._limit = limit
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads completed by `data`, in order."""
        self._buffer += data
        *events, rest = bytes(self._buffer).split(b"\n\n")
        found: list[bytes] = []
        for event in events:
            if self._skipping:
                self._skipping = False
                continue
            lines = [line for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                found.append(b"\n".join(line[5:].removeprefix(b" ") for line in lines))
        self._buffer = bytearray(rest)
        if len(self._buffer) > self._limit:
            self.lost += not self._skipping
            self._skipping = True
            del self._buffer[:-1]  # the last byte may begin the blank line
        return found
