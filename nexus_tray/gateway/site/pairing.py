"""Pairing a phone: a page that names the computer, one button, in.

Owns that page and the post behind it. Imports the site's forms, replies and pages, sign-in's
parts and the store's pairings. Runs on the gateway's event loop; the disk is waited for in threads.

The link's token stands behind `#`, so no request carries it before the button is pressed: it is in
no log of Cloudflare's or ours, in no Referer, and no messenger's preview can use it up. A small
script moves it into the form and out of the address bar; without scripts it is pasted.
"""

import re
from collections.abc import Callable

from nexus_tray.gateway.http import DoorKind, Principal, Request, Response
from nexus_tray.gateway.signin.lockout import Gate, Lockout
from nexus_tray.gateway.signin.sessions import Sessions, browser_name
from nexus_tray.gateway.signin.signing_in import Run
from nexus_tray.gateway.site import pages
from nexus_tray.gateway.site.forms import HOME, form, one
from nexus_tray.gateway.site.replies import HTML, see
from nexus_tray.inert import inert
from nexus_tray.store.audit import Audit, AuditEvent
from nexus_tray.store.pairings import Pairings

PATH = "pair"
BODY = 1024
LONGEST_NAME = 64
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class PairingPage:
    """The page and its post. `monotonic` in seconds.

    Wrong tries count by address, apart from wrong passwords and never in total: 256 bits cannot be
    guessed, and nobody shall shut this way in for others. The count keeps a flood off the disk.
    """

    def __init__(
        self,
        machine: str,
        pairings: Pairings,
        sessions: Sessions,
        audit: Audit,
        run: Run,
        monotonic: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._pairings = pairings
        self._sessions = sessions
        self._audit = audit
        self._run = run
        self._monotonic = monotonic
        self._lockout = Lockout(window=0.0)  # no total

    def show(self, request: Request, *, refused: bool = False) -> Response:
        """The page; it says no more to whoever has no link."""
        name = browser_name(request.get(b"user-agent"))
        return _page(403 if refused else 200, page(self._machine, name, refused=refused))

    async def redeem(self, request: Request, principal: Principal | None) -> Response:
        """The button was pressed. Raises Problem when the store cannot be read or written."""
        if request.visitor.door.kind is DoorKind.LOCAL:
            return self.show(request, refused=True)
        fields = form(request)
        token = (one(fields, "token") or "").strip().removeprefix("#")
        began, address = self._monotonic(), request.visitor.address
        open_ = self._lockout.begin(address, began) is Gate.OPEN and _TOKEN.fullmatch(token)
        found = None
        if open_:
            host = request.visitor.host
            found = await self._run(lambda: self._pairings.find(token, host))
        if found is None:
            return await self._refuse(request)
        row = found
        typed = _plain(one(fields, "name") or "")
        proposed = browser_name(request.get(b"user-agent"))
        # the page's own proposal is nobody's choice, so the owner's name goes before it
        name = typed if typed and typed != proposed else row.name or proposed
        set_cookie = await self._run(
            lambda: self._sessions.begin(
                request.visitor,
                name,
                password_id=None,
                old=principal,
                how="pairing",
                spend=self._pairings.spending(row.id),
            )
        )
        if set_cookie is None:  # somebody else was quicker
            return await self._refuse(request)
        self._lockout.succeeded(address, began)
        return see(HOME, ("set-cookie", set_cookie))

    async def _refuse(self, request: Request) -> Response:
        address, now = request.visitor.address, self._monotonic()
        event, told = AuditEvent.PAIRING_REFUSED, "used, too old or unknown"
        await self._run(lambda: self._audit.crowd(event, address, told, now))
        return self.show(request, refused=True)


def page(machine: str, name: str, *, refused: bool) -> bytes:
    """The pairing page; `name` is proposed for the device."""
    told = (
        '<p class="note down" role="alert">This link does not work: it was used, is older than '
        "ten minutes, or was tried too often. Ask for a new one on the computer.</p>"
        if refused
        else ""
    )
    computer = pages.text(machine)
    return pages.frame(
        "Pair this device",
        machine,
        f"<h1>Pair this device?</h1>{told}"
        f"<p>It will be able to use OpenCode on <b>{computer}</b> for 30 days, or until it is "
        "signed out there.</p>"
        '<form method="post" action="/_nexus/pair" id="pair">'
        f'<label>Name of this device<input type="text" name="name" value="{pages.text(name)}" '
        f'maxlength="{LONGEST_NAME}" autocomplete="off"></label>'
        '<label id="paste">The part of the link behind #<input type="text" name="token" '
        'autocomplete="off" autocapitalize="none" spellcheck="false" required></label>'
        '<button class="primary">Pair this device</button></form>'
        '<p class="dim small">The link works once. If you did not scan it from that computer’s '
        "screen yourself, close this page.</p>"
        '<script src="/_nexus/pair.js" defer></script>',
    )


def _plain(name: str) -> str:
    return inert(" ".join(name.split()))[:LONGEST_NAME]


def _page(status: int, body: bytes) -> Response:
    own = ("content-type", HTML), ("content-security-policy", pages.POLICY)
    return Response(status, own, body)
