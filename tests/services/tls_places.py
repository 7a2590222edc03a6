"""Servers of the tests' own that stand where a public address may lead: TLS, any answer."""

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import trustme

HOST = "code.example.com"

Script = Callable[[bytes], bytes | Iterable[bytes] | None]
"""From a request's head to the answer, or its pieces; None: silence."""


class TlsPlace:
    """A TLS server on loopback; `script` answers each request."""

    def __init__(self, context: ssl.SSLContext, script: Script) -> None:
        self._context, self.script = context, script
        self.heads: list[bytes] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(plain,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.closing(plain):
            plain.settimeout(10)
            with self._context.wrap_socket(plain, server_side=True) as secure:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = secure.recv(65536)
                    if not data:
                        return
                    head += data
                self.heads.append(head)
                answer = self.script(head)
                if answer is None:
                    self._over.wait(20)
                else:
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        secure.sendall(piece)

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


class Authority:
    """An authority of the tests', and servers with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(organization_name="Lab Authority")
        self.trust = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.trust)
        self._places: list[TlsPlace] = []

    def place(
        self,
        script: Script,
        *names: str,
        days: float = 80.0,
        stranger: bool = False,
    ) -> TlsPlace:
        """A server whose certificate ends in so many days, for these names; `stranger`: of an
        authority that nobody trusts."""
        authority = trustme.CA() if stranger else self._ca
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        begin = end - datetime.timedelta(days=365)
        leaf = authority.issue_cert(*(names or (HOST,)), not_before=begin, not_after=end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(context)
        return self.keep(TlsPlace(context, script))

    def keep(self, place: TlsPlace) -> TlsPlace:
        self._places.append(place)
        return place

    def close(self) -> None:
        for place in self._places:
            place.close()


def http(status: str, body: bytes = b"", *fields: str) -> bytes:
    """An answer with a length and these further fields."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
