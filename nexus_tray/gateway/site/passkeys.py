"""Signing in with a passkey: a question for the browser's authenticator, and its answer.

Owns the two posts of it; the page of passkeys is `passkey_page`. Imports the site's forms and
replies, sign-in's parts and the store's passkeys. Runs on the gateway's event loop; the disk, and
the check of an answer, are waited for in threads.

What the page's script sends is an ordinary form that has one field with the authenticator's answer
as JSON; it gets JSON back. An answer counts only with the cookie that came with its question, so
what somebody read off elsewhere is no use in another browser.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nexus_tray.gateway.http import PREFIX, Principal, Request, Response
from nexus_tray.gateway.routes import Table
from nexus_tray.gateway.signin import passkeys as judge
from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.sessions import Sessions, browser_name, cookie_value
from nexus_tray.gateway.signin.signing_in import Run
from nexus_tray.gateway.signin.visits import is_token
from nexus_tray.gateway.site.forms import form, local_path, one
from nexus_tray.gateway.site.replies import as_json, refusal
from nexus_tray.store.accounts import fingerprint
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.passkeys import PasskeyRow, Passkeys, rises

COOKIE = "__Host-nexus-passkey"
STRANGERS = {f"{PREFIX}passkey-challenge": 64, f"{PREFIX}passkey": 8 * 1024}
"""What who is not signed in may post, and how long it may be. An answer has two credential ids of
1,023 bytes at most, a signature and a few short fields, in base64url."""


class Around(Protocol):
    """What is needed of the site's world."""

    @property
    def audit(self) -> Audit:
        """The trail."""

    @property
    def sessions(self) -> Sessions:
        """Who is signed in."""

    @property
    def passkeys(self) -> Passkeys:
        """The public keys."""

    @property
    def routes(self) -> Callable[[], Table]:
        """Where each tunnel leads."""


@dataclass(frozen=True)
class _Right:
    """An answer that is right but for what the store has yet to judge."""

    row: PasskeyRow
    counter: int


class PasskeyEntrance:
    """The two posts. `monotonic` in seconds.

    Wrong answers count by address, apart from wrong passwords and never in total: an answer cannot
    be guessed, and a flood of them must not shut the owner out.
    """

    def __init__(self, around: Around, run: Run, monotonic: Callable[[], float]) -> None:
        self._around = around
        self._run = run
        self._monotonic = monotonic
        self._lockout = Lockout(window=0.0)  # no total
        self._challenges = judge.Challenges(monotonic)

    def _host(self, request: Request) -> str | None:
        return judge.stable_host(request.visitor, self._around.routes())

    def possible(self, request: Request) -> bool:
        """Whether a passkey may count at this address."""
        return self._host(request) is not None

    async def offered(self, request: Request) -> bool:
        """Whether there is one for this host name. Raises Problem: unreadable."""
        host = self._host(request)
        return host is not None and bool(await self._run(lambda: self._around.passkeys.at(host)))

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        """Answer one of the two posts, the second of which signs in. Raises Problem when the store
        cannot be read or written."""
        host = self._host(request)
        if host is None:
            return NOT_HERE
        if request.path.endswith("-challenge"):
            return self._ask(request, host)
        return await self._sign_in(request, host, principal)

    def _ask(self, request: Request, host: str) -> Response:
        """A question for the authenticator, bound to this browser by a cookie."""
        token = secrets.token_urlsafe(32)
        asked = self._challenges.ask(_asker(token), host, request.visitor.address)
        return as_json(judge.request_options(asked, host), _cookie(token, int(judge.LASTS)))

    async def _sign_in(self, request: Request, host: str, old: Principal | None) -> Response:
        """The authenticator's answer; `old` is the browser's present session."""
        token = cookie_value(request, COOKIE) or ""
        asked = self._challenges.take(_asker(token), host) if is_token(token) else None
        began, address = self._monotonic(), request.visitor.address
        gate = self._lockout.begin(address, began)
        if gate is not Gate.OPEN:
            return await self._refuse(address, gate.value)
        if asked is None:
            return await self._refuse(address, "no question was open in this browser")
        fields = form(request)
        answer = one(fields, "answer") or ""
        found = await self._run(lambda: self._judge(answer, asked, address))
        if isinstance(found, str):
            return await self._refuse(address, found)
        set_cookie = await self._run(
            lambda: self._around.sessions.begin(
                request.visitor,
                browser_name(request.get(b"user-agent")),
                password_id=None,
                old=old,
                how="passkey",
                spend=self._around.passkeys.using(found.row, found.counter),
                passkey=found.row.id,
            )
        )
        if set_cookie is None:
            return await self._refuse(address, "it was revoked or used meanwhile")
        self._lockout.succeeded(address, began)
        leads_to = local_path(one(fields, "next"))
        return as_json({"to": leads_to}, ("set-cookie", set_cookie), _cookie("", 0))

    def _judge(self, answer: str, asked: judge.Open, address: str) -> _Right | str:
        """Why it is refused, in words for the trail, or what it is. Waits for the disk."""
        store = self._around.passkeys
        try:
            row = store.find(judge.named(answer), asked.host)
            if row is None:
                return "unknown or revoked at this address"
            counter = judge.check_use(
                answer, asked.challenge, asked.host, row.public_key, store.handle()
            )
        except judge.Doubt as doubt:
            return doubt.why
        if not rises(row.counter, counter):
            told = f"counter {counter} after {row.counter}: there may be a copy of it"
            self._around.audit.record(AuditEvent.PASSKEY_COPIED, row.name, address, told)
            return "its counter fell"
        return _Right(row, counter)

    async def _refuse(self, address: str, why: str) -> Response:
        now = self._monotonic()
        locked = self._lockout.locked_for(address, now)

        def write() -> None:
            crowd = self._around.audit.crowd
            crowd(AuditEvent.PASSKEY_REFUSED, address, why, now)
            if locked and why != Gate.LOCKED.value:
                crowd(AuditEvent.LOCKED, address, f"passkeys, for {locked:.0f} s", now)

        await self._run(write)
        return refusal(403, "passkey", FAILED)


FAILED = (
    "That did not work. Sign in with the password, or try again: after several tries "
    "wait a while before the next."
)
NOT_HERE = refusal(404, "not-here", "Passkeys work only at an address that stays the same.")


def _asker(token: str) -> str:
    return f"cookie {fingerprint(token).hex()}"


def _cookie(token: str, age: int) -> tuple[str, str]:
    kept = f"{COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; Secure; SameSite=Strict"
    return "set-cookie", kept
