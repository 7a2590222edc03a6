"""The real site over a vault, with a snapshot that tests set and commands that are kept."""

import asyncio
import urllib.parse
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.gateway.http import Request, Response, Visitor
from nexus_tray.gateway.routes import Table
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import SecondFactor
from nexus_tray.gateway.signin.tokens import TokenBearers
from nexus_tray.gateway.site.site import GatewaySite, World
from nexus_tray.gateway.site.static import load
from nexus_tray.model import (
    Activity,
    Desired,
    Facts,
    Hop,
    HopState,
    OpenCodeSession,
    PathHop,
    Problem,
    Question,
    QuestionKind,
    QuestionPart,
    Reason,
    Service,
    ServiceKind,
    ServiceState,
    SessionState,
    Snapshot,
)
from nexus_tray.reports import Message, Transcript

from .worlds import PASSWORD, PHONE, Vault, cookie_of, open_vault, request

UI = Path(__file__).parent.parent.parent / "ui" / "gateway"

PERMISSION = Question(
    id="per_1",
    kind=QuestionKind.PERMISSION,
    session_id="ses_1",
    directory="/home/ada/trays",
    title="bash",
    detail="git push origin main",
    asked_at=1_795_000_000.0 - 20,
)
QUESTION = Question(
    id="que_1",
    kind=QuestionKind.QUESTION,
    session_id="ses_2",
    directory="/home/ada/lab",
    title="Two things",
    parts=(
        QuestionPart(text="Which colour?", options=(("Blue", "calm"), ("Red", "")), custom=True),
        QuestionPart(text="Which files?", options=(("a.py", ""), ("b.py", "")), multiple=True),
    ),
)
SESSIONS = (
    OpenCodeSession(
        id="ses_1", title="Colour the icons", directory="/home/ada/trays", project="trays",
        state=SessionState.WAITING, cost=0.42, updated_at=1_795_000_000.0 - 30,
    ),
    OpenCodeSession(
        id="ses_2", title="Fix the test", directory="/home/ada/lab", project="lab",
        state=SessionState.WORKING, cost=None, updated_at=1_795_000_000.0 - 300,
    ),
    OpenCodeSession(
        id="ses_3", title="Notes", directory="/home/ada/trays", project="trays",
        state=SessionState.IDLE, cost=0.001,
    ),
)  # fmt: skip
SNAPSHOT = Snapshot(
    boot_id="b",
    cursor=1,
    version="0.1.0",
    taken_at=1_795_000_000.0,
    state=HopState.UP,
    headline="Reachable",
    path=(PathHop(hop=Hop.OPENCODE, state=HopState.UP, text="running"),),
    services=(
        Service(
            name="opencode",
            kind=ServiceKind.OPENCODE,
            desired=Desired.RUNNING,
            state=ServiceState.RUNNING,
            since_at=0.0,
            facts=Facts(directory="/home/ada/trays"),
        ),
    ),
    activity=Activity(sessions=SESSIONS, questions=(PERMISSION, QUESTION)),
)


SAID = (
    Message(id="msg_1", role="user", text="Fix the <b>test</b>\nplease", at=1_795_000_000.0 - 60),
    Message(id="msg_2", role="assistant", text="On it.", doings=("bash: pytest -q", "edit: a.py")),
)


@dataclass
class SiteWorld:
    """A site that is asked directly. `outcome` is what commands come to."""

    vault: Vault
    snapshot: Snapshot = SNAPSHOT
    outcome: Outcome = Outcome(ok=True)  # noqa: RUF009 - immutable
    commands: list[AnyCommand] = field(default_factory=list)
    said: tuple[Message, ...] = SAID
    routes: Table = field(default_factory=dict)

    def __post_init__(self) -> None:
        def submit(command: AnyCommand) -> Outcome:
            self.commands.append(command)
            return self.outcome

        vault = self.vault
        self.refused: list[str] = []
        self.bearers = TokenBearers(
            vault.tokens, vault.wall, vault.monotonic, vault.sessions.clock_uncertain,
            vault.tokens.note_use, self.refused.append,
        )  # fmt: skip
        for ends in (vault.accounts, vault.tokens):
            ends.listen(self.bearers.forget)
        self.world = World(
            machine="studio-pc",
            snapshot=lambda: self.snapshot,
            submit=submit,
            accounts=self.vault.accounts,
            audit=self.vault.audit,
            passwords=self.vault.passwords,
            sessions=self.vault.sessions,
            tokens=self.bearers,
            pairings=self.vault.pairings,
            passkeys=self.vault.passkeys,
            second_factor=SecondFactor(
                self.vault.factor, lambda key: self.vault.secrets.get(key), self.vault.wall
            ),
            files=load(UI),
            events=lambda request, principal: Response(426),
            manifest=lambda request: None,
            transcript=self.transcript,
            routes=lambda: self.routes,
            wall=self.vault.wall,
        )
        self.site = GatewaySite(self.world)

    def transcript(self, session_id: str) -> Transcript:
        """Of any session that the snapshot knows; `said` is what was said there."""
        known = self.snapshot.activity.sessions if self.snapshot.activity else ()
        for session in known:
            if session.id == session_id:
                return Transcript(session=session, messages=self.said)
        raise Problem(
            Reason(code="opencode-session-gone", hop=Hop.OPENCODE, what="There is none such.")
        )

    def with_monotonic_of_the_vault(self) -> "SiteWorld":
        """Lockout time by the vault's clock. Failures then wait by a clock that stands."""
        self.site.close()
        self.world = replace(self.world, monotonic=self.vault.monotonic)
        self.site = GatewaySite(self.world)
        return self

    def change(self, **fields: object) -> None:
        self.snapshot = msgspec.structs.replace(self.snapshot, **fields)

    async def ask(self, asked: Request) -> Response:
        """What the relay would do with it, short of the relay's own checks."""
        if len(asked.body) > self.site.body_limit(asked):
            return Response(413)
        principal = self.site.authenticate(asked)
        if asked.path.startswith("/_nexus/"):
            return await self.site.respond(asked, principal)
        return Response(200, body=b"opencode") if principal else self.site.stranger(asked)

    def get(self, asked: Request) -> Response:
        return asyncio.run(self.ask(asked))

    def sign_in(self, who: Visitor | None = None, cookie: str | None = None) -> str:
        """Sign in with the right password; the cookie."""
        answer = self.get(sign_in_form(who=who, cookie=cookie))
        assert answer.status == 303, answer
        return cookie_of(field_of(answer, "set-cookie"))

    def close(self) -> None:
        self.site.close()
        self.vault.close()


def open_site(
    folder: Path, passwords: Passwords | None = None, now: float = 1_795_000_000.0
) -> SiteWorld:
    """A site with the password set."""
    world = SiteWorld(open_vault(folder / "data", passwords, now))
    world.vault.accounts.set_password(PASSWORD)
    return world


def field_of(answer: Response, name: str) -> str:
    values = [value for key, value in answer.headers if key == name]
    assert len(values) == 1, (name, answer.headers)
    return values[0]


def post(
    path: str, fields: dict[str, str | list[str]], who: Visitor | None = None,
    cookie: str | None = None, query: str = "",
) -> Request:  # fmt: skip
    body = urllib.parse.urlencode(fields, doseq=True).encode()
    agent = ((b"user-agent", PHONE.encode()), (b"accept", b"text/html"))
    return request(path, "POST", who=who, cookie=cookie, body=body, headers=agent, query=query)


def sign_in_form(
    password: str = PASSWORD,
    who: Visitor | None = None,
    cookie: str | None = None,
    query: str = "",
) -> Request:
    fields: dict[str, str | list[str]] = {"username": "owner", "password": password}
    return post("/_nexus/sign-in", fields, who, cookie, query)


def page(path: str, **more: object) -> Request:
    """A person's browser asks for a page."""
    return request(path, headers=((b"accept", b"text/html,*/*;q=0.8"),), **more)  # type: ignore[arg-type]
