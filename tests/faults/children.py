"""The whole program with the real OpenCode and no tunnel: the quickest whole product to break."""

from collections.abc import Callable
from pathlib import Path

from nexus_tray.model import SessionState, Snapshot
from tests.e2e.program import Program, Visitor
from tests.opencode_lab.harness import Home, find_opencode
from tests.opencode_lab.provider import Provider


def house(folder: Path, provider: Provider, **opencode: object) -> Program:
    """The program with OpenCode behind its local door, not yet started."""
    lab = Home(folder / "opencode", provider.url)
    environment = lab.environment()
    kept = {name: environment[name] for name in environment if name not in ("PATH", "HOME")}
    made = Program(folder / "home", lab.project, kept)
    settings = {"program": str(find_opencode()), "environment": list(kept), **opencode}
    made.configure({"opencode": settings, "tunnels": []})
    return made


def begin(visitor: Visitor, text: str) -> str:
    """A session that was told this; its id."""
    session = str(visitor.ask("POST", "/session", {"title": text})["id"])
    say(visitor, session, text)
    return session


def say(visitor: Visitor, session: str, text: str) -> None:
    parts = [{"type": "text", "text": text}]
    visitor.ask("POST", f"/session/{session}/prompt_async", {"parts": parts})


def state_of(snapshot: Snapshot, session: str) -> SessionState | None:
    """What the session does; None: nothing is known of it."""
    known = snapshot.activity.sessions if snapshot.activity is not None else ()
    return next((one.state for one in known if one.id == session), None)


def shows(session: str, state: SessionState) -> Callable[[Snapshot], bool]:
    """Whether a snapshot shows the session like that."""
    return lambda snapshot: state_of(snapshot, session) is state


def said(visitor: Visitor, session: str) -> str:
    """All that the agent has said in it."""
    return "\n".join(
        part.get("text", "")
        for message in visitor.ask("GET", f"/session/{session}/message")
        if message["info"]["role"] == "assistant"
        for part in message["parts"]
    )
