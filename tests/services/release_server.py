"""A release server of the tests' own: HTTPS, entity tags, ranges, and every way to break off."""

import http.server
import re
import ssl
import threading
import time
from dataclasses import dataclass, field

import trustme


@dataclass
class File:
    """What is at one path. `cuts`: after how many bytes of the answer each of the next
    connections ends; `slow`: bytes of each tenth of a second."""

    body: bytes
    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    etag: str = '"one"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    slow: int = 0


class ReleaseServer:
    """HTTPS on loopback. `files` by path; `asked` has the Range of each request, in order."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.asked: list[str] = []
        authority = trustme.CA()
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.base = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, path: str, file: File) -> str:
        """Its address."""
        self.files[path] = file
        return self.base + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        file = self.files.get(request.path, File(b"no", 404, etag=""))
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        status, body, fields = file.status, file.body, dict(file.fields)
        if file.etag:
            fields.setdefault("ETag", file.etag)
        found = re.fullmatch(r"bytes=(\d+)-", wanted)
        same = request.headers.get("If-Range", file.etag) == file.etag
        if status == 200 and found and file.ranges and same:
            start = int(found[1])
            if start >= len(body):
                status, body = 416, b""
            else:
                fields["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            request.send_header(name, value)
        request.end_headers()
        self._send(request, file, body)

    def _send(self, request: http.server.BaseHTTPRequestHandler, file: File, body: bytes) -> None:
        if file.cuts:
            body = body[: file.cuts.pop(0)]
        step = file.slow or len(body) or 1
        try:
            for start in range(0, len(body), step):
                request.wfile.write(body[start : start + step])
                if file.slow:
                    time.sleep(0.1)
        except OSError:
            return  # who asked is gone
        request.close_connection = True
