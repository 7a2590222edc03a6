"""The way to a preview: from its host to OpenCode's, there the sign-in, and back with a pass.

Owns what is ours on a preview host, and the one page of OpenCode's host that sends people
there. May import `gateway.*` below the site. Runs on the gateway's event loop.

On a preview host there is nothing of ours but the entrance and the sign-out: its service runs
what an agent wrote, and its pages and workers may read and change what is on their own host.
So the password is only ever asked for on OpenCode's host (SECURITY.md "Other local services").
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

from nexus_tray.gateway.http import PREFIX, DoorKind, Principal, Request, Response
from nexus_tray.gateway.routes import Table
from nexus_tray.gateway.signin.sessions import Sessions, browser_name, cookie_value
from nexus_tray.gateway.signin.visits import Visits, is_token, seal_of
from nexus_tray.gateway.site import pages, static
from nexus_tray.gateway.site.forms import local_path, query_value, wants_page, with_next
from nexus_tray.gateway.site.replies import HTML, only, post_refused, refusal, see
from nexus_tray.gateway.site.static import StaticFile
from nexus_tray.model import ServiceState, Snapshot

VISIT = f"{PREFIX}visit"
VISIT_COOKIE = "__Host-nexus-visit"
VISIT_SECONDS = 600
FILES = frozenset(("style.css", "icon.svg"))
_LONGEST = 500
_SEAL = re.compile(r"[0-9a-f]{64}")
_STANDING = (ServiceState.RUNNING, ServiceState.DEGRADED)


class Around(Protocol):
    """What is needed of the site's world."""

    @property
    def machine(self) -> str:
        """The computer's name."""

    @property
    def snapshot(self) -> Callable[[], Snapshot]:
        """How it stands."""

    @property
    def sessions(self) -> Sessions:
        """Who is signed in."""

    @property
    def files(self) -> Mapping[str, StaticFile]:
        """Styles and the icon."""

    @property
    def routes(self) -> Callable[[], Table]:
        """Where each tunnel leads."""


class Previews:
    """Our part of the preview hosts. `run` does in a thread what waits for the disk."""

    def __init__(
        self,
        around: Around,
        run: Callable[[Callable[[], str | None]], Awaitable[str | None]],
        monotonic: Callable[[], float],
    ) -> None:
        self._around = around
        self._run = run
        self._visits = Visits(monotonic)

    # on the preview host

    def stranger(self, request: Request) -> Response:
        """Anybody without a session of this host: a person is sent to sign in."""
        if not wants_page(request):
            return refusal(401, "sign-in", "Sign in first, or your session has ended.")
        home = self._home_of_opencode(request.visitor.door.name)
        if home is None:
            return self._told(
                503,
                "Sign in to OpenCode first",
                "This preview opens for whoever is signed in to OpenCode, and OpenCode has no "
                "public address just now. Start a tunnel that leads to it, then come back.",
            )
        visit = cookie_value(request, VISIT_COOKIE) or ""
        if not is_token(visit):
            visit = secrets.token_urlsafe(32)
        path = request.target if len(quote(request.target)) <= _LONGEST else "/"
        asked = urlencode({"to": request.visitor.host, "seal": seal_of(visit), "next": path})
        kept = f"{VISIT_COOKIE}={visit}; Path=/; Max-Age={VISIT_SECONDS}"
        return see(
            f"https://{home}{VISIT}?{asked}",
            ("set-cookie", f"{kept}; HttpOnly; Secure; SameSite=Lax"),
            ("referrer-policy", "no-referrer"),
        )

    async def respond(self, request: Request, principal: Principal | None) -> Response:
        """Answer a request under PREFIX on a preview host."""
        name = request.path.removeprefix(PREFIX)
        file = self._around.files.get(name) if name in FILES else None
        if file is not None:
            return only(request, ("GET",)) or static.serve(request, file)
        if name == "enter":
            return only(request, ("GET",)) or await self._enter(request, principal)
        if name == "sign-out":
            refused = only(request, ("POST",)) or post_refused(request)
            return refused or await self._sign_out(request, principal)
        return self._told(404, "Not here", "No such page.")

    async def _enter(self, request: Request, principal: Principal | None) -> Response:
        if _is_no_visit(request):
            return refusal(503, "prefetch", "Open this link to use it.")
        visitor, token = request.visitor, query_value(request, "pass") or ""
        secret = cookie_value(request, VISIT_COOKIE) or ""
        visit = self._visits.redeem(token, visitor.host, visitor.door.name, secret)
        set_cookie = None
        if visit is not None:
            parent, name = visit.parent, browser_name(request.get(b"user-agent"))
            sessions = self._around.sessions
            set_cookie = await self._run(
                lambda: sessions.begin(
                    visitor, name, password_id=None, old=None, parent=parent, how="ticket"
                )
            )
        if visit is None or set_cookie is None:
            if principal is not None:
                return see("/")
            return self._told(
                403,
                "This link does not work any more",
                "It works once, for a minute, and only in the browser that asked for it. If this "
                "happens each time, allow cookies for this address. Open the preview again by its "
                "own address.",
            )
        return see(
            local_path(visit.path, "/"),
            ("set-cookie", set_cookie),
            ("set-cookie", f"{VISIT_COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"),
            ("referrer-policy", "no-referrer"),
        )

    async def _sign_out(self, request: Request, principal: Principal | None) -> Response:
        if principal is not None:
            sessions, address = self._around.sessions, request.visitor.address
            set_cookie = await self._run(lambda: sessions.end(principal, address)) or ""
            page = self._told(200, "Signed out", "You are signed out of this preview.")
            return Response(page.status, (*page.headers, ("set-cookie", set_cookie)), page.body)
        return self._told(200, "Signed out", "You are signed out of this preview.")

    # on the OpenCode host

    def visit(self, request: Request, principal: Principal | None, sign_in: str) -> Response:
        """Send a signed-in person on to the preview, with a pass; anybody else to `sign_in`.

        A form's answer may not lead to another host (our own policy, form-action), and this
        can be where the sign-in form leads. So from a page of ours it is a page that goes on.
        """
        if request.visitor.door.kind is not DoorKind.TUNNEL:
            return self._told(404, "Not here", "No such page.")
        if _is_no_visit(request):
            return refusal(503, "prefetch", "Open this link to use it.")
        host, seal = query_value(request, "to") or "", query_value(request, "seal") or ""
        tunnel = self._tunnel_of_preview(host)
        if tunnel is None or _SEAL.fullmatch(seal) is None:
            return self._told(404, "Not here", "There is no such preview.")
        if principal is None:
            return see(with_next(sign_in, local_path(request.target)))
        path = local_path(query_value(request, "next"), "/")
        token = self._visits.give(host, tunnel, principal, seal, path)
        onward = f"https://{host}{PREFIX}enter?{urlencode({'pass': token})}"
        if request.get(b"sec-fetch-site") in ("cross-site", "same-site", "none"):
            return see(onward, ("referrer-policy", "no-referrer"))
        body = pages.onward(self._around.machine, host, onward)
        own = ("refresh", f"0; url={onward}"), ("referrer-policy", "no-referrer")
        return _page(200, body, *own)

    # where is what

    def _home_of_opencode(self, door: str) -> str | None:
        """The host name at which to sign in: of the same tunnel, else of another that runs."""
        table, addresses = self._around.routes(), self._addresses()
        for tunnel in (door, *addresses):
            routes = table.get(tunnel)
            hosts = routes.hosts_of_opencode(addresses.get(tunnel)) if routes is not None else []
            if hosts:
                return hosts[0]
        return None

    def _tunnel_of_preview(self, host: str) -> str | None:
        addresses = self._addresses()
        for tunnel, routes in self._around.routes().items():
            if routes.preview_at(host, addresses.get(tunnel)) is not None:
                return tunnel
        return None

    def _addresses(self) -> dict[str, str | None]:
        """The tunnels that run, with where each is reached, as measured."""
        services = self._around.snapshot().services
        return {one.name: one.facts.address for one in services if one.state in _STANDING}

    def _told(self, status: int, title: str, sentence: str) -> Response:
        return _page(status, pages.short(title, self._around.machine, sentence))


def _is_no_visit(request: Request) -> bool:
    return request.method == "HEAD" or "prefetch" in (request.get(b"sec-purpose") or "")


def _page(status: int, body: bytes, *fields: tuple[str, str]) -> Response:
    own = ("content-type", HTML), ("content-security-policy", pages.POLICY)
    return Response(status, (*own, *fields), body)
