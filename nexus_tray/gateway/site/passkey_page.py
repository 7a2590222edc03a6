"""The page of passkeys, for who is signed in: see them, add one, remove one.

Owns that page and the posts behind it. Imports the site's forms, replies and pages, sign-in's parts
and the store's passkeys. Runs on the gateway's event loop; the disk, and the check of an answer,
are waited for in threads. Adding needs a script, as a browser offers passkeys to nothing else;
without one they can be seen and removed. A new passkey counts only in the session that asked for
it, having given the password again, and only while both stand.
"""

import datetime
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nexus_tray.gateway.http import PREFIX, Principal, Request, Response
from nexus_tray.gateway.routes import Table
from nexus_tray.gateway.signin import passkeys as judge
from nexus_tray.gateway.signin.asking_again import AskingAgain
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import SecondFactor
from nexus_tray.gateway.signin.sessions import browser_name
from nexus_tray.gateway.signin.signing_in import Run
from nexus_tray.gateway.site import pages
from nexus_tray.gateway.site.forms import form, one, query_value
from nexus_tray.gateway.site.passkeys import NOT_HERE
from nexus_tray.gateway.site.replies import HTML, as_json, refusal, see
from nexus_tray.inert import inert
from nexus_tray.model import Problem, Reason
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.passkeys import NewPasskey, PasskeyRow, Passkeys

PATH = "passkeys"
POSTS = ("passkey-challenge", "passkey", "passkey-begin", "passkey-add", "passkey-remove")
"""Below PREFIX; the first two are the entrance's."""
HERE = PREFIX + PATH
LONGEST_NAME = 64


class Around(Protocol):
    """What is needed of the site's world."""

    @property
    def machine(self) -> str:
        """The computer's name."""

    @property
    def accounts(self) -> Accounts:
        """Who may come in."""

    @property
    def audit(self) -> Audit:
        """The trail."""

    @property
    def passwords(self) -> Passwords:
        """The hashing."""

    @property
    def second_factor(self) -> SecondFactor:
        """The one-time codes."""

    @property
    def passkeys(self) -> Passkeys:
        """The public keys."""

    @property
    def routes(self) -> Callable[[], Table]:
        """Where each tunnel leads."""


class PasskeyPage:
    """The page and its posts. `monotonic` in seconds."""

    def __init__(self, around: Around, run: Run, monotonic: Callable[[], float]) -> None:
        self._around = around
        self._run = run
        self._challenges = judge.Challenges(monotonic)
        self._again = AskingAgain(
            around.accounts,
            around.audit,
            around.passwords,
            around.second_factor,
            around.passkeys,
            run,
            monotonic,
        )

    async def respond(self, request: Request, principal: Principal) -> Response:
        """Answer a request for the page or one of its posts."""
        name = request.path.removeprefix(PREFIX)
        if name == PATH:
            return await self._show(request)
        deeds = {"passkey-begin": self._begin, "passkey-add": self._add}
        return await deeds.get(name, self._remove)(request, principal)

    async def _show(self, request: Request) -> Response:
        """All of them, and how to add one here."""
        rows = await self._run(self._around.passkeys.all)
        body = page(
            self._around.machine,
            rows,
            here=self._host(request),
            code=await self._again.asks_for_code(),
            name=browser_name(request.get(b"user-agent")),
            note=query_value(request, "note") or "",
        )
        return _page(200, body)

    async def _begin(self, request: Request, principal: Principal) -> Response:
        """The password was given again: a question for an authenticator that is to be added."""
        host = self._host(request)
        if host is None:
            return NOT_HERE
        try:
            password_id = await self._ask_again(request, principal)
        except Problem as problem:
            return _told(problem.reason)
        store, challenges = self._around.passkeys, self._challenges
        address = request.visitor.address
        asked = challenges.ask(f"add {principal.id}", host, address, password_id)

        def options() -> dict[str, Any]:
            held = [row.credential_id for row in store.at(host)]
            machine = self._around.machine
            return judge.creation_options(asked, host, machine, store.handle(), held)

        return as_json(await self._run(options))

    async def _add(self, request: Request, principal: Principal) -> Response:
        """What the authenticator made. Raises Problem when it cannot be kept."""
        host = self._host(request)
        if host is None:
            return NOT_HERE
        asked = self._challenges.take(f"add {principal.id}", host)
        if asked is None:
            return refusal(403, "passkey", "That took too long. Begin again.")
        fields = form(request)
        answer = one(fields, "answer") or ""
        name = _plain(one(fields, "name") or "") or browser_name(request.get(b"user-agent"))
        address = request.visitor.address

        def keep() -> Response:
            try:
                made = judge.check_new(answer, asked.challenge, host)
            except judge.Doubt as doubt:
                event, told = AuditEvent.PASSKEY_REFUSED, f"not added: {doubt.why}"
                self._around.audit.record(event, principal.name, address, told)
                return refusal(403, "passkey", "That was not understood. Nothing was added.")
            new = NewPasskey(made.credential_id, made.public_key, made.counter, host, name)
            kept = self._around.passkeys.add(
                new, principal.name, address, session_id=principal.id, password_id=asked.about
            )
            if not kept:
                return refusal(409, "passkey", "That passkey is here already, or you were signed "
                               "out meanwhile. Nothing was added.")  # fmt: skip
            return as_json({"to": f"{HERE}?note=added"})

        try:
            return await self._run(keep)
        except Problem as problem:
            return _told(problem.reason)

    async def _remove(self, request: Request, principal: Principal) -> Response:
        """One is taken away; what it signed in ends. Raises Problem when it cannot be written."""
        try:
            await self._ask_again(request, principal)
        except Problem as problem:
            told = pages.trouble("Nothing was removed", self._around.machine, problem.reason)
            return _page(403, told)
        key, address = one(form(request), "id") or "", request.visitor.address
        accounts = self._around.accounts
        done = await self._run(lambda: accounts.end_passkey(key, principal.name, address))
        return see(f"{HERE}?note={'removed' if done else 'gone'}")

    def _host(self, request: Request) -> str | None:
        return judge.stable_host(request.visitor, self._around.routes())

    async def _ask_again(self, request: Request, principal: Principal) -> str:
        fields = form(request)
        password, code = one(fields, "password") or "", one(fields, "code") or ""
        address = request.visitor.address
        return await self._again.require(principal, address, password, code)


REMOVED = (
    "The passkey is removed, and who came in with it is signed out. You may delete it where it is "
    "kept too."
)
NOTES = {
    "added": ("up", "The passkey is added. From now on it signs in here, without the password."),
    "removed": ("up", REMOVED),
    "gone": ("down", "That passkey was removed already."),
}


def page(
    machine: str,
    rows: Sequence[PasskeyRow],
    *,
    here: str | None,
    code: bool,
    name: str,
    note: str = "",
) -> bytes:
    """The page of passkeys. `here`: the host name that one may be added for (None: none);
    `code`: a one-time code is asked for too; `name` is proposed."""
    kind, words = NOTES.get(note, ("", ""))
    told = f'<p class="note {kind}" role="status">{words}</p>' if words else ""
    listed = "".join(_row(row, code) for row in rows)
    shown = (
        f'<div class="list keys">{listed}</div>' if rows else '<p class="dim">There is none.</p>'
    )
    script = '<script src="/_nexus/passkey.js" defer></script>' if here else ""
    return pages.frame(
        "Passkeys",
        machine,
        f"<h1>Passkeys</h1>{told}<p>A passkey signs in by fingerprint, face or PIN of a device, "
        "instead of the password and its code. It works at one address only.</p>"
        f'{shown}{_adding(here, code, name)}<p><a class="button" href="/_nexus/">Back to the '
        f"sessions</a></p>{script}",
    )


def _adding(here: str | None, code: bool, name: str) -> str:
    if here is None:
        return (
            '<p class="note">None can be added here: this address may change, or belong to '
            "somebody else one day. Add one at a named tunnel’s address.</p>"
        )
    return (
        f'<h2>Add one for {pages.text(here)}</h2><form id="add-passkey" hidden>'
        f'<label>Name<input type="text" name="name" value="{pages.text(name)}" '
        f'maxlength="{LONGEST_NAME}" autocomplete="off"></label>'
        f'{_asked_again(code)}<p class="note down" role="alert" hidden></p>'
        '<button class="primary">Add a passkey</button></form>'
        '<p id="no-passkeys" class="dim">This browser offers no passkeys, or runs no scripts.</p>'
    )


def _row(row: PasskeyRow, code: bool) -> str:
    used = f"used {_day(row.used_at)}" if row.used_at is not None else "never used"
    facts = f"{pages.text(row.host)} · added {_day(row.made_at)} · {used}"
    return (
        f'<section class="key" aria-label="{pages.text(row.name)}"><b>{pages.text(row.name)}</b>'
        f'<span class="dim small">{facts}</span>'
        '<details><summary>Remove…</summary><form method="post" action="/_nexus/passkey-remove">'
        f'<input type="hidden" name="id" value="{pages.text(row.id)}">{_asked_again(code)}'
        "<button>Remove, and sign out who came in with it</button></form></details></section>"
    )


def _asked_again(code: bool) -> str:
    second = (
        '<label>One-time code, or a recovery code<input type="text" name="code" '
        'autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="40" '
        "required></label>"
        if code
        else ""
    )
    return (
        '<label>Your password, again<input type="password" name="password" '
        f'autocomplete="current-password" required></label>{second}'
    )


def _day(at: float) -> str:
    """A day in UTC, with its moment at hand."""
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    exact = when.isoformat(" ", "minutes").replace("+00:00", " UTC")
    return f'<time datetime="{when.isoformat()}" title="{exact}">{when:%Y-%m-%d}</time>'


def _plain(name: str) -> str:
    return inert(" ".join(name.split()))[:LONGEST_NAME]


def _page(status: int, body: bytes) -> Response:
    own = ("content-type", HTML), ("content-security-policy", pages.POLICY)
    return Response(status, own, body)


def _told(reason: Reason) -> Response:
    """Why not, for the script to show."""
    words = " ".join(part for part in (reason.what, reason.meaning, reason.cure) if part)
    return refusal(403, reason.code, words)
