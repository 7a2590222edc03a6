"""A stand-in for `opencode serve` that can be as busy, deaf or wedged as a test wishes.

It runs as a child, started by the driver like the real one; the real one cannot be told to
compute for a minute. It answers health and configuration on one thread, as OpenCode does,
and reads its mood from the file `mood` in its folder:

    ok      answers
    busy    computes and answers nobody, until the mood changes
    deaf    accepts connections and does nothing

Only tests of moods use it; everything else runs on the real program.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def mood() -> str:
    path = Path("mood")
    return path.read_text(encoding="utf-8") if path.exists() else "ok"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing."""

    def do_GET(self) -> None:
        while mood() == "busy":
            sum(range(100_000))
        while mood() == "deaf":
            time.sleep(0.05)
        answers = {"/global/health": {"healthy": True, "version": "1.0.0"}, "/config": {}}
        body = json.dumps(answers[self.path]).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            return  # who asked has long gone


def main() -> None:
    port = int(sys.argv[sys.argv.index("--port") + 1])
    with HTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"opencode server listening on http://127.0.0.1:{port}", flush=True)
        server.serve_forever()


def executable(path: Path) -> Path:
    """Make a program of this module at `path`."""
    source = Path(__file__).read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path


if __name__ == "__main__":
    main()
