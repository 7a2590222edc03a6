"""Who comes through the tunnel: the owner's phone, which talks with the agent, and strangers."""

import contextlib
import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.soak.recorder import OWNER, STRANGER

REPLY_SECONDS = 20.0


@dataclass
class Answer:
    """What came back, names in lower case; `status` 0: nothing."""

    status: int
    fields: dict[str, str]
    body: bytes


def ask(
    front: str, host: str, method: str, path: str, body: str | None = None, **fields: str
) -> Answer:
    """One request at the public front, for that host name. A line that breaks is an answer too."""
    where = urllib.parse.urlsplit(front)
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=15)
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    try:
        line.request(method, path, body, {"Host": host, "Origin": f"https://{host}", **named})
        answer = line.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())
    except (OSError, http.client.HTTPException):
        return Answer(0, {}, b"")
    finally:
        line.close()


@dataclass
class Phone:
    """The owner's. `host` answers the present host name (None: there is none)."""

    front: str
    host: Callable[[], str | None]
    password: str
    cookie: str = ""
    session: str = ""
    number: int = 0
    sent: dict[int, float] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    replies: int = 0

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Signed in; where it is not any more, it signs in once and asks again."""
        answer = self._send(method, path, body)
        if answer.status in (401, 403) and self._sign_in():
            answer = self._send(method, path, body)
        return answer

    def _send(self, method: str, path: str, body: object) -> Answer:
        host = self.host()
        if host is None:
            return Answer(0, {}, b"")
        mark = "&" if "?" in path else "?"
        data = None if body is None else json.dumps(body)
        fields = {"Content_Type": "application/json", "Accept": "application/json"}
        return ask(
            self.front, host, method, f"{path}{mark}x={OWNER.decode()}", data,
            Cookie=self.cookie, **fields,
        )  # fmt: skip

    def _sign_in(self) -> bool:
        host = self.host()
        if host is None:
            return False
        form = urllib.parse.urlencode({"username": "owner", "password": self.password})
        kind = "application/x-www-form-urlencoded"
        answer = ask(self.front, host, "POST", "/_nexus/sign-in", form, Content_Type=kind)
        cookie = answer.fields.get("set-cookie", "").partition(";")[0]
        if answer.status == 303 and cookie:
            self.cookie = cookie
        return answer.status == 303

    def works(self) -> bool:
        """OpenCode answers it through everything."""
        return self.request("GET", "/session").status == 200

    def say_next(self) -> bool:
        """One message more; whether it was taken."""
        if not self.session:
            made = self.request("POST", "/session", {"title": "soak"})
            if made.status != 200:
                return False
            self.session = str(json.loads(made.body)["id"])
        self.number += 1
        parts = [{"type": "text", "text": f"soak message {self.number} "}]
        path = f"/session/{self.session}/prompt_async"
        if self.request("POST", path, {"parts": parts}).status not in (200, 204):
            return False
        self.sent[self.number] = time.monotonic()
        return True

    def read(self) -> bool:
        """Look at the whole conversation, and whether it is as it should be."""
        answer = self.request("GET", f"/session/{self.session}/message")
        if answer.status != 200:
            return False
        numbers, self.replies = told(json.loads(answer.body))
        self.wrong += compare(self.seen, numbers)
        self.seen |= set(numbers)
        return True


def told(messages: list[dict[str, Any]]) -> tuple[list[int], int]:
    """The numbers of our messages, in their order, and how many the agent answered whole."""
    numbers, replies = [], 0
    for message in messages:
        text = "".join(part.get("text", "") for part in message["parts"])
        if message["info"]["role"] == "user" and text.startswith("soak message "):
            numbers.append(int(text.split()[2]))
        elif message["info"]["role"] == "assistant" and text:
            replies += 1
    return numbers, replies


def compare(before: set[int], now: list[int]) -> list[str]:
    """What is wrong with a conversation that held `before` and holds `now`."""
    wrong = [f"message {one} stands there twice" for one in set(now) if now.count(one) > 1]
    wrong += [f"message {one} is gone" for one in sorted(before - set(now))]
    if now != sorted(now):
        wrong.append("the messages are out of order")
    return wrong


class Strangers:
    """They never rest: without a session, with a forged one, by every kind of request."""

    def __init__(self, front: str, host: Callable[[], str | None]) -> None:
        self._front, self._host = front, host
        self._over = threading.Event()
        self.knocks = 0
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._run, name="strangers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        name = STRANGER.decode()
        tries = (
            ("GET", f"/session?x={name}", ""),
            ("GET", f"/event?x={name}", f"__Host-nexus={'A' * 43}"),
            ("POST", f"/session?x={name}", f"__Host-nexus={'B' * 43}"),
            ("GET", f"/global/health?x={name}", ""),
        )
        while not self._over.wait(0.05):
            host = self._host()
            if host is None:
                continue
            for method, path, cookie in tries:
                with contextlib.suppress(OSError):
                    answer = ask(self._front, host, method, path, Cookie=cookie)
                    self.knocks += 1
                    self.wrong += refused(method, path, answer.status)

    def close(self) -> None:
        """Let them go."""
        self._over.set()
        self._thread.join(30)


def refused(method: str, path: str, status: int) -> list[str]:
    """What is wrong about that answer to a stranger."""
    ok = status == 0 or status >= 400 or status in (302, 303)
    return [] if ok else [f"a stranger's {method} {path} was answered {status}"]
