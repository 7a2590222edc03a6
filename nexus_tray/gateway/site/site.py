"""Everything under `/_nexus/`, and who may pass to OpenCode.

Owns the table of our paths and implements `gateway.http.Site` from the parts: pages,
sign-in, sessions, static files; the event bridge and the web manifest are handed in. Runs
on the gateway's event loop; what may wait (commands, the disk) goes to a few threads.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.gateway.http import PREFIX, Channel, DoorKind, Principal, Request, Response
from nexus_tray.gateway.relay.answers import for_api
from nexus_tray.gateway.routes import Table
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.second_factor import SecondFactor
from nexus_tray.gateway.signin.sessions import Sessions, browser_name
from nexus_tray.gateway.signin.signing_in import ComeBack, SignedIn, SignIn, T
from nexus_tray.gateway.signin.tokens import TokenBearers, borne
from nexus_tray.gateway.site import (
    app_manifest,
    home,
    pages,
    pairing,
    passkey_page,
    passkeys,
    static,
)
from nexus_tray.gateway.site.answering import NotAnswered, command_for
from nexus_tray.gateway.site.forms import (
    HOME,
    form,
    local_path,
    one,
    query_value,
    wants_page,
    with_next,
)
from nexus_tray.gateway.site.pairing import PairingPage
from nexus_tray.gateway.site.previews import Previews
from nexus_tray.gateway.site.replies import HTML, only, post_refused, refusal, see
from nexus_tray.gateway.site.sessions_pages import SESSION_PATHS, SessionPages, leads_back
from nexus_tray.gateway.site.static import StaticFile
from nexus_tray.model import Hop, Problem, Reason, Snapshot
from nexus_tray.reports import Transcript
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.pairings import Pairings
from nexus_tray.store.passkeys import Passkeys

SIGN_IN_BODY = 1024
ANSWER_BODY = 64 * 1024
SIGN_IN = f"{PREFIX}sign-in"

Handler = Callable[[Channel], Awaitable[None]]


@dataclass(frozen=True)
class World:
    """What the site needs of the rest. `snapshot` returns at once; `submit` may take seconds.

    `machine` is the computer's name as visitors see it. `events` accepts a WebSocket of
    the event bridge; `manifest` answers the web manifest's paths from its copy, else None.
    `routes` says where each tunnel leads.
    """

    machine: str
    snapshot: Callable[[], Snapshot]
    submit: Callable[[AnyCommand], Outcome]
    accounts: Accounts
    audit: Audit
    passwords: Passwords
    sessions: Sessions
    tokens: TokenBearers
    pairings: Pairings
    passkeys: Passkeys
    second_factor: SecondFactor
    files: Mapping[str, StaticFile]
    events: Callable[[Request, Principal], Handler | Response]
    manifest: Callable[[Request], Response | None]
    transcript: Callable[[str], Transcript]
    routes: Callable[[], Table] = dict
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class GatewaySite:
    """The `Site` of the gateway. `close` ends its threads."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._threads = ThreadPoolExecutor(4, "nexus-site")
        self._sign_in = SignIn(
            world.accounts,
            world.audit,
            world.passwords,
            world.sessions,
            world.second_factor,
            self._run,
            world.monotonic,
        )
        self._pairing = PairingPage(
            world.machine, world.pairings, world.sessions, world.audit, self._run, world.monotonic
        )
        self._passkeys = passkeys.PasskeyEntrance(world, self._run, world.monotonic)
        self._passkey_page = passkey_page.PasskeyPage(world, self._run, world.monotonic)
        self._previews = Previews(world, self._run, world.monotonic)
        self._talks = SessionPages(world, self._run)

    def close(self) -> None:
        """Wait for what is under way and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def body_limit(self, request: Request) -> int:
        """Strangers may send what signs in or pairs, and nothing else; nobody may on a preview
        host."""
        if request.visitor.preview is not None:
            return 0
        if request.path == SIGN_IN:
            return SIGN_IN_BODY
        if request.path == PREFIX + pairing.PATH:
            return pairing.BODY
        if request.path in passkeys.STRANGERS:
            return passkeys.STRANGERS[request.path]
        if not self.authenticate(request):
            return 0
        name = request.path.removeprefix(PREFIX)
        return SESSION_PATHS.get(name, ANSWER_BODY)

    def authenticate(self, request: Request) -> Principal | None:
        """Whose session the request carries, if any."""
        token = None if request.visitor.preview else borne(request)
        if token is not None:  # it alone is judged: a cookie beside a bad one helps nothing
            return self._world.tokens.authenticate(request, token)
        return self._world.sessions.authenticate(request)

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        """Answer a request under PREFIX."""
        if request.visitor.preview is not None:
            try:
                return await self._previews.respond(request, principal)
            except Problem as problem:
                return self._trouble(503, "Not possible just now", problem.reason, back=False)
        name = request.path.removeprefix(PREFIX)
        file = self._world.files.get(name)
        if file is not None:
            return only(request, ("GET",)) or static.serve(request, file)
        route = ROUTES.get(name)
        if route is None:
            return self._page(404, pages.short("Not here", self._world.machine, "No such page."))
        refused = only(request, tuple(route)) or post_refused(request)
        if refused is not None:
            return refused
        try:
            return await route["GET" if request.method == "HEAD" else request.method](
                self, request, principal
            )
        except Problem as problem:
            return self._trouble(503, "Not possible just now", problem.reason)

    def stranger(self, request: Request) -> Response:
        """Anybody without a session who asks for something of OpenCode's."""
        if request.visitor.door.kind is not DoorKind.LOCAL:
            try:
                closed = self._sign_in.closed()
            except Problem as problem:
                closed = problem.reason
            if closed is not None:
                return self._closed(request, closed)
        if request.visitor.preview is not None:
            return self._previews.stranger(request)
        if borne(request) is not None:
            self._world.tokens.refused(request.visitor.address)
            return for_api(401, "This API token is unknown, revoked, or no longer good.")
        if wants_page(request):
            # OpenCode's own front page shows a fresh browser nothing (FACTS.md); ours does
            leads_to = HOME if request.path == "/" else local_path(request.target)
            return see(with_next(SIGN_IN, leads_to))
        return refusal(401, "sign-in", "Sign in first, or your session has ended.")

    def local_copy(self, request: Request) -> Response | None:
        """The web manifest's paths, which browsers ask for without cookies."""
        return self._world.manifest(request)

    def websocket(self, request: Request, principal: Principal | None) -> Handler | Response:
        """The event bridge's WebSocket; there is no other of ours."""
        if principal is None:
            return refusal(401, "sign-in", "Sign in first, or your session has ended.")
        if request.path != f"{PREFIX}events" or request.visitor.preview is not None:
            return refusal(404, "not-here", "No such WebSocket.")
        return self._world.events(request, principal)

    # the pages, by the table below

    async def _home(self, request: Request, principal: Principal | None) -> Response:
        if principal is None:
            return self.stranger(request)
        return self._page(200, home.page(self._view(request, principal)))

    async def _fragment(self, request: Request, principal: Principal | None) -> Response:
        if principal is None:
            return refusal(401, "sign-in", "Sign in first, or your session has ended.")
        body = home.fragment(self._view(request, principal))
        return static.tagged(request, HTML, body, static.etag_of(body), "no-store")

    async def _sign_in_page(self, request: Request, principal: Principal | None) -> Response:
        leads_to = local_path(query_value(request, "next"))
        if principal is not None:
            return see(leads_to)
        if request.visitor.door.kind is DoorKind.LOCAL:
            return self._page(403, pages.ask_for_ticket(self._world.machine, refused=False))
        reason = self._sign_in.closed()
        if reason is not None:
            return self._closed(request, reason)
        return await self._sign_in_again(request, leads_to)

    async def _sign_in_form(self, request: Request, principal: Principal | None) -> Response:
        if request.visitor.door.kind is DoorKind.LOCAL:
            return self._page(403, pages.ask_for_ticket(self._world.machine, refused=False))
        reason = self._sign_in.closed()
        if reason is not None:
            return self._closed(request, reason)
        leads_to = local_path(query_value(request, "next"))
        fields = form(request)
        password, code = one(fields, "password") or "", one(fields, "code") or ""
        name = browser_name(request.get(b"user-agent"))
        answer = await self._sign_in.attempt(request.visitor, password, code, name, principal)
        if isinstance(answer, SignedIn):
            return see(leads_to, ("set-cookie", answer.set_cookie))
        machine = self._world.machine
        if isinstance(answer, ComeBack):
            text = "Many sign-ins are being checked just now. Go back and try again in a moment."
            return self._page(429, pages.short("One moment", machine, text), ("retry-after", "5"))
        return await self._sign_in_again(request, leads_to, failed=True)

    async def _sign_in_again(
        self, request: Request, leads_to: str, *, failed: bool = False
    ) -> Response:
        """The sign-in page, with what is asked for and offered at this address."""
        machine, asks = self._world.machine, await self._sign_in.asks_for_code()
        offers = await self._passkeys.offered(request)
        recovery = query_value(request, "recovery") is not None
        body = pages.sign_in(
            machine, leads_to, code=asks, recovery=recovery, failed=failed, passkey=offers
        )
        return self._page(403 if failed else 200, body)

    async def _passkey(self, request: Request, principal: Principal | None) -> Response:
        if request.path in passkeys.STRANGERS:
            closed = self._remotely_closed(request)
            return closed or await self._passkeys.respond(request, principal)
        if principal is None:
            return see(SIGN_IN) if request.method == "POST" else self.stranger(request)
        return await self._passkey_page.respond(request, principal)

    async def _sign_out(self, request: Request, principal: Principal | None) -> Response:
        if principal is None:
            return see(SIGN_IN)
        sessions, address = self._world.sessions, request.visitor.address
        set_cookie = await self._run(lambda: sessions.end(principal, address))
        return see(SIGN_IN, ("set-cookie", set_cookie))

    async def _visit(self, request: Request, principal: Principal | None) -> Response:
        return self._previews.visit(request, principal, SIGN_IN)

    async def _pair_page(self, request: Request, principal: Principal | None) -> Response:
        if principal is not None:
            return see(HOME)
        closed = self._remotely_closed(request)
        return closed or self._pairing.show(request)

    async def _pair(self, request: Request, principal: Principal | None) -> Response:
        closed = self._remotely_closed(request)
        return closed or await self._pairing.redeem(request, principal)

    def _remotely_closed(self, request: Request) -> Response | None:
        """Why nobody may come in from outside, as a page. Raises Problem."""
        if request.visitor.door.kind is DoorKind.LOCAL:
            return self._page(403, pages.ask_for_ticket(self._world.machine, refused=False))
        reason = self._sign_in.closed()
        return None if reason is None else self._closed(request, reason)

    async def _enter(self, request: Request, principal: Principal | None) -> Response:
        """The local door's one-time link.

        A GET may redeem it: nothing but this machine's own browser reaches a loopback
        address, so no messenger's preview can use it up, and what only prefetches is
        turned away. A stranger's link brings nothing, for it carries no ticket of ours.
        """
        if request.visitor.door.kind is not DoorKind.LOCAL:
            return self._page(404, pages.short("Not here", self._world.machine, "No such page."))
        if request.method == "HEAD" or "prefetch" in (request.get(b"sec-purpose") or ""):
            return refusal(503, "prefetch", "Open this link to use it.")
        accounts, ticket = self._world.accounts, query_value(request, "ticket") or ""
        path = await self._run(lambda: accounts.redeem_ticket(ticket))
        if path is None:
            if principal is not None:
                return see(HOME)
            audit, now = self._world.audit, self._world.monotonic()
            refused = AuditEvent.TICKET_REFUSED
            await self._run(lambda: audit.crowd(refused, "local", "used, too old or unknown", now))
            return self._page(403, pages.ask_for_ticket(self._world.machine, refused=True))
        sessions, name = self._world.sessions, browser_name(request.get(b"user-agent"))
        set_cookie = await self._run(
            lambda: sessions.begin(
                request.visitor, name, password_id=None, old=principal, how="ticket"
            )
        )
        own = ("set-cookie", set_cookie or ""), ("referrer-policy", "no-referrer")
        return see(local_path(path, "/"), *own)

    async def _answer(self, request: Request, principal: Principal | None) -> Response:
        if principal is None:
            return see(SIGN_IN)
        fields = form(request)
        try:
            command, note = command_for(fields, self._world.snapshot().activity)
        except NotAnswered as refused:
            return see(leads_back(fields, refused.note))
        outcome = await self._run(lambda: self._world.submit(command))
        if outcome.ok:
            return see(leads_back(fields, note))
        return self._trouble(409, "Your answer did not arrive", outcome.reason or NOT_SAID)

    async def _app(self, request: Request, _: Principal | None) -> Response:
        body = app_manifest.manifest(self._world.machine)
        return static.tagged(request, app_manifest.KIND, body, static.etag_of(body), "no-store")

    async def _talk(self, request: Request, principal: Principal | None) -> Response:
        if principal is None:
            return see(SIGN_IN) if request.method == "POST" else self.stranger(request)
        return await self._talks.respond(request)

    # shared by them

    async def _run(self, function: Callable[[], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    def _view(self, request: Request, principal: Principal) -> home.View:
        return home.View(
            snapshot=self._world.snapshot(),
            machine=self._world.machine,
            who=principal.name,
            now=self._world.wall(),
            note=query_value(request, "note") or "",
            passkeys=self._passkeys.possible(request),
        )

    def _closed(self, request: Request, reason: Reason) -> Response:
        """Nobody may come in from outside, and why."""
        status = 403 if reason.code == "no-password" else 503
        if not wants_page(request) and request.path != SIGN_IN:
            return refusal(status, reason.code, reason.what)
        if reason.code == "no-password":
            return self._page(status, pages.no_password(self._world.machine))
        return self._trouble(status, "Remote access is closed", reason, back=False)

    def _trouble(self, status: int, title: str, reason: Reason, *, back: bool = True) -> Response:
        return self._page(status, pages.trouble(title, self._world.machine, reason, back=back))

    @staticmethod
    def _page(status: int, body: bytes, *fields: tuple[str, str]) -> Response:
        own = ("content-type", HTML), ("content-security-policy", pages.POLICY)
        return Response(status, (*own, *fields), body)


NOT_SAID = Reason(
    code="answer-refused",
    hop=Hop.OPENCODE,
    what="OpenCode did not take the answer.",
    cure="Look whether the question is still open, and try again.",
)

ROUTES: Mapping[
    str,
    Mapping[str, Callable[[GatewaySite, Request, Principal | None], Awaitable[Response]]],
] = {
    "": {"GET": GatewaySite._home},
    "home-fragment": {"GET": GatewaySite._fragment},
    "sign-in": {"GET": GatewaySite._sign_in_page, "POST": GatewaySite._sign_in_form},
    "sign-out": {"POST": GatewaySite._sign_out},
    "enter": {"GET": GatewaySite._enter},
    "visit": {"GET": GatewaySite._visit},
    pairing.PATH: {"GET": GatewaySite._pair_page, "POST": GatewaySite._pair},
    "answer": {"POST": GatewaySite._answer},
    "app.webmanifest": {"GET": GatewaySite._app},
    "new": {"GET": GatewaySite._talk, "POST": GatewaySite._talk},
    "session": {"GET": GatewaySite._talk},
    "session-fragment": {"GET": GatewaySite._talk},
    "prompt": {"POST": GatewaySite._talk},
    "continue": {"POST": GatewaySite._talk},
    "stop": {"POST": GatewaySite._talk},
    "restart": {"POST": GatewaySite._talk},
    passkey_page.PATH: {"GET": GatewaySite._passkey},
    **{name: {"POST": GatewaySite._passkey} for name in passkey_page.POSTS},
}
