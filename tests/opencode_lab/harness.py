"""The real OpenCode in a home of its own, kept by our own driver, and someone to talk to it.

`Home` is the isolated environment, `Keeper` stands in for the supervisor (start, probe
until ready, stop), `Talk` does what OpenCode's web page does. Nothing here reaches beyond
loopback: a proxy that is not there keeps OpenCode from the package registry.
"""

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from nexus_tray.core.driver import Exited, Observed, Probed
from nexus_tray.gateway.http import Upstream
from nexus_tray.model import Facts, Level
from nexus_tray.services.opencode import OpenCodeDriver
from nexus_tray.services.opencode_client import OpenCodeClient
from nexus_tray.services.opencode_probe import Limits

T = TypeVar("T")
PROJECT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:9"


def find_opencode() -> Path:
    """The native OpenCode for tests: NEXUS_OPENCODE, PATH, or where build/test puts it."""
    named = os.environ.get("NEXUS_OPENCODE")
    if named:
        return Path(named)
    found = shutil.which("opencode")
    if found:
        return Path(found)
    name = "opencode.exe" if sys.platform == "win32" else "opencode"
    for place in sorted(PROJECT.glob(f".tools/node_modules/opencode-*/bin/{name}")):
        return place
    for place in sorted(PROJECT.glob(f".tools/opencode/*/{name}")):
        return place
    raise AssertionError(
        "The tests need the real OpenCode: set NEXUS_OPENCODE to its native binary, put "
        "`opencode` on PATH, or run ./build/test, which installs it into .tools."
    )


def until(what: str, ask: Callable[[], T | None], seconds: float = 20.0) -> T:
    """The first answer that is true (not None, empty or 0); fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}"
        time.sleep(0.02)


class Home:
    """A user's home with nothing in it but OpenCode's configuration."""

    def __init__(self, root: Path, provider_url: str) -> None:
        self.root = root
        self.home = root / "home"
        self.project = root / "project"
        self.config = root / "opencode.json"
        self.home.mkdir(parents=True)
        self.project.mkdir()
        self.config.write_text(json.dumps(configuration(provider_url)), encoding="utf-8")

    def folder(self, name: str) -> Path:
        """One more project folder."""
        path = self.root / name
        path.mkdir(exist_ok=True)
        return path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "OPENCODE_CONFIG": str(self.config),
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "HTTP_PROXY": NOWHERE,
            "HTTPS_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1,localhost",
        }


def configuration(provider_url: str) -> dict[str, Any]:
    """OpenCode's configuration for the lab: one provider, and leave asked for everything."""
    model = {
        "name": "Lab One",
        "limit": {"context": 32000, "output": 4000},
        "cost": {"input": 1, "output": 2},
    }
    return {
        "model": "lab/lab-1",
        "small_model": "lab/lab-1",
        "autoupdate": False,
        "share": "disabled",
        "enabled_providers": ["lab"],
        "permission": {"bash": "ask", "edit": "ask"},
        "provider": {
            "lab": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Lab",
                "options": {"baseURL": provider_url, "apiKey": "sk-lab"},
                "models": {"lab-1": model},
            }
        },
    }


class Keeper:
    """A supervisor of one driver: keeps every report, probes, and never restarts by itself."""

    def __init__(
        self,
        home: Home,
        program: Path | None = None,
        *,
        limits: Limits | None = None,
        on_upstream: Callable[[Upstream | None], None] | None = None,
    ) -> None:
        self.home = home
        self.reports: list[Probed | Exited | Observed] = []
        self.upstreams: list[Upstream | None] = []
        self.log: list[tuple[Level, str]] = []
        self.run = 0
        self._changed = threading.Condition()
        self._listener = on_upstream
        found = program or find_opencode()
        self.driver = OpenCodeDriver(
            program=lambda: found,
            directory=lambda: home.project,
            environment=home.environment,
            on_upstream=self._on_upstream,
            on_log=lambda level, text: self.log.append((level, text)),
            limits=limits,
        )

    def _on_upstream(self, upstream: Upstream | None) -> None:
        self.upstreams.append(upstream)
        if self._listener is not None:
            self._listener(upstream)

    def _report(self, item: Probed | Exited | Observed) -> None:
        with self._changed:
            self.reports.append(item)
            self._changed.notify_all()

    def begin(self) -> None:
        """Start a run and do not wait."""
        self.run += 1
        self.driver.start(self.run, self._report)

    def start(self, seconds: float = 60.0) -> Upstream:
        """Start a run, wait until it is ready, and say where it listens."""
        self.begin()
        until("OpenCode to be ready", lambda: self.probe().reason is None, seconds)
        assert self.upstream is not None
        return self.upstream

    @property
    def upstream(self) -> Upstream | None:
        return self.upstreams[-1] if self.upstreams else None

    @property
    def facts(self) -> Facts:
        """All that was observed of the present run."""
        known: dict[str, Any] = {}
        for item in self.reports:
            if isinstance(item, Observed) and item.run == self.run:
                fields = {name: getattr(item.facts, name) for name in Facts.__struct_fields__}
                known |= {name: value for name, value in fields.items() if value is not None}
        return Facts(**known)

    @property
    def pid(self) -> int:
        return until("a pid", lambda: self.facts.pid)

    def probe(self, seconds: float = 15.0) -> Probed:
        """Probe once and wait for the answer (or for the end of the run, which fails)."""
        before = len(self.of(Probed))
        self.driver.probe(self.run)
        self._wait(lambda: len(self.of(Probed)) > before or bool(self.of(Exited)), seconds)
        probes = self.of(Probed)
        assert len(probes) > before, f"the run ended: {self.of(Exited)}, {self.log[-8:]}"
        return probes[-1]

    def stop(self, seconds: float = 15.0) -> Exited:
        """Stop the run and wait until its end is reported."""
        self.driver.stop(self.run)
        return self.exited(seconds)

    def exited(self, seconds: float = 15.0) -> Exited:
        """Wait for the end of the run."""
        self._wait(lambda: bool(self.of(Exited)), seconds)
        (end,) = self.of(Exited)
        return end

    def of(self, kind: type[T]) -> list[T]:
        """The reports of one kind about the present run, in order."""
        return [item for item in self.reports if isinstance(item, kind) and item.run == self.run]

    def _wait(self, ready: Callable[[], bool], seconds: float) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, seconds), (
                f"in {seconds} s only: {self.reports[-5:]}, {self.log[-8:]}"
            )

    def __enter__(self) -> "Keeper":
        return self

    def __exit__(self, *_: object) -> None:
        if self.run and not self.of(Exited):
            self.driver.kill(self.run)
            self.exited()


class Talk:
    """A conversation in one project folder, as OpenCode's own page would hold it."""

    def __init__(self, upstream: Upstream, directory: Path, title: str = "a talk") -> None:
        self.client = OpenCodeClient(upstream)
        self.directory = str(directory)
        session = json.loads(self._post("/session", {"title": title}))
        self.id: str = session["id"]

    def say(self, text: str) -> None:
        """Send a prompt; returns at once, the answer comes as events."""
        parts = [{"type": "text", "text": text}]
        self._post(f"/session/{self.id}/prompt_async", {"parts": parts})

    def busy(self) -> bool:
        statuses = self.client.get(
            "/session/status", dict[str, dict[str, Any]], directory=self.directory
        )
        return bool(statuses.get(self.id, {}).get("type", "idle") != "idle")

    def pending(self, kind: str) -> list[dict[str, Any]]:
        """What it waits for: `permission` or `question`."""
        return self.client.get(f"/{kind}", list[dict[str, Any]], directory=self.directory)

    def messages(self) -> list[dict[str, Any]]:
        return self.client.get(
            f"/session/{self.id}/message", list[dict[str, Any]], directory=self.directory
        )

    def text(self) -> str:
        """Everything the agent has said."""
        return "\n".join(
            part.get("text", "")
            for message in self.messages()
            if message["info"]["role"] == "assistant"
            for part in message["parts"]
        )

    def reply(self, request_id: str, reply: str = "once") -> None:
        """Reply to a permission."""
        self._post(f"/permission/{request_id}/reply", {"reply": reply})

    def abort(self) -> None:
        self._post(f"/session/{self.id}/abort", None)

    def _post(self, path: str, body: object) -> bytes:
        return self.client.post(path, body, directory=self.directory, timeout=20.0)
