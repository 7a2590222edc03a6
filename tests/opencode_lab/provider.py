"""A language model on loopback, in the form of OpenAI's chat completions, that obeys.

What it answers is chosen by a word in the last user message, so a test reads as a story:

    RUNTOOL: ls         calls the bash tool
    WRITE: /path        calls the write tool
    ASKQ                calls the question tool: "Which colour?", Red or Blue
    SLOW                speaks one word each half second, sixty words
    HTTP500             fails
    anything else       says hello

After a tool's result it says what the tool said. Each request is kept in `asked`.
"""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

USAGE = {"prompt_tokens": 123, "completion_tokens": 45, "total_tokens": 168}
QUESTION = {
    "question": "Which colour?",
    "header": "Colour",
    "options": [
        {"label": "Red", "description": "like a rose"},
        {"label": "Blue", "description": "like the sea"},
    ],
}


class Provider:
    """The server: starts at once on a free port; `close` ends it and its open answers."""

    def __init__(self) -> None:
        self.asked: list[Json] = []
        self.closing = threading.Event()
        provider = self

        class Handler(_Handler):
            lab = provider

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address that goes into OpenCode's configuration."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "Provider":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    lab: Provider

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Say nothing: a test's output is for its own failures."""

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [{"id": "lab-1", "object": "model"}]})

    def do_POST(self) -> None:
        request: Json = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        self.lab.asked.append(request)
        if "HTTP500" in last_text(request):
            self._json(500, {"error": {"message": "as you wished", "type": "server_error"}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pause, chunks = answer(request)
        try:
            for chunk in chunks:
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                if self.lab.closing.wait(pause):
                    return
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            return  # the one who asked has left: aborted

    def _json(self, status: int, value: Json) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def last_text(request: Json) -> str:
    """What the last message says."""
    messages = request.get("messages") or [{}]
    content = messages[-1].get("content") or ""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content)
    return str(content)


def answer(request: Json) -> tuple[float, Iterator[Json]]:
    """Seconds between the pieces of the answer, and the pieces."""
    text, role = last_text(request), (request.get("messages") or [{}])[-1].get("role")
    if not request.get("tools"):  # OpenCode asks for a title without tools
        return 0.0, _say("Lab title")
    if role == "tool":
        return 0.0, _say(f"The tool said: {text[:80]}")
    if "RUNTOOL:" in text:
        command = text.split("RUNTOOL:", 1)[1].strip().strip('"')
        return 0.0, _call("bash", {"command": command, "description": "run it"})
    if "WRITE:" in text:
        path = text.split("WRITE:", 1)[1].split()[0].strip('"')
        return 0.0, _call("write", {"filePath": path, "content": "written in the lab\n"})
    if "ASKQ" in text:
        return 0.0, _call("question", {"questions": [QUESTION]})
    if "SLOW" in text:
        return 0.5, _say(" ".join(f"tick{number}" for number in range(60)))
    return 0.0, _say(f"Hello from the lab. You said: {text[:60]}")


def _say(text: str) -> Iterator[Json]:
    yield _chunk({"role": "assistant", "content": ""})
    for word in text.split(" "):
        yield _chunk({"content": word + " "})
    yield _chunk({}, "stop")


def _call(tool: str, arguments: Json) -> Iterator[Json]:
    yield _chunk({"role": "assistant", "content": "Let me do that. "})
    head = {"name": tool, "arguments": ""}
    # ids of calls must differ within a conversation
    yield _chunk({"tool_calls": [{"index": 0, "id": f"call_{time.time_ns()}", "type": "function",
                                  "function": head}]})  # fmt: skip
    text = json.dumps(arguments)
    for start in range(0, len(text), 12):
        piece = {"arguments": text[start : start + 12]}
        yield _chunk({"tool_calls": [{"index": 0, "function": piece}]})
    yield _chunk({}, "tool_calls")


def _chunk(delta: Json, finish: str | None = None) -> Json:
    chunk: Json = {
        "id": "chatcmpl-lab",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "lab-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if finish:
        chunk["usage"] = USAGE
    return chunk
