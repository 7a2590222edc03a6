"""An origin that shows exactly what reached it. Stands where the gateway is."""

import json
import socketserver
import threading
from pathlib import Path

# RFC 6455, 1.3: the example's key and its answer
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Origin:
    """Answers each request with its own head as JSON; `heads` has them all. Listens on the
    Unix socket `path` and on the loopback port `port`.

    `/slow` waits for `go`; `/echo` sends back the body; `/ws` sends back raw bytes.
    """

    def __init__(self, path: Path) -> None:
        self.heads: list[list[str]] = []
        self.go = threading.Event()
        self.slow = threading.Event()
        tcp = _Tcp(("127.0.0.1", 0), _Handler)
        self.port = int(tcp.server_address[1])
        self._servers: list[_Unix | _Tcp] = [_Unix(str(path), _Handler), tcp]
        for server in self._servers:
            server.origin = self
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.go.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    origin: Origin


class _Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    request_queue_size = 64
    origin: Origin


class _Handler(socketserver.StreamRequestHandler):
    server: _Unix | _Tcp

    def handle(self) -> None:
        origin = self.server.origin
        while head := self._head():
            origin.heads.append(head)
            target = head[0].split(" ")[1]
            if target == "/ws":
                self._upgrade()
                return
            body = self._body(head)
            if target == "/slow":
                origin.slow.set()
                origin.go.wait(30)
            self._answer(body if target == "/echo" else json.dumps(head).encode())

    def _head(self) -> list[str]:
        lines: list[str] = []
        while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
            lines.append(line)
        return lines

    def _body(self, head: list[str]) -> bytes:
        fields = {name.lower(): value for name, _, value in (f.partition(": ") for f in head[1:])}
        if fields.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(fields.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def _upgrade(self) -> None:
        self.wfile.write(UPGRADED)
        while data := self.connection.recv(65536):
            self.wfile.write(data)
