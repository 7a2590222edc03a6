"""Who may speak to the local API: pure rules over a request's head (SECURITY.md 29).

Owns the refusals that come before any route is looked up, so that no route can forget
them. Loopback is no boundary: every program and every web page on this machine can
connect. Imports the model and commands only; holds no state; any thread.

No rule looks at cookies, for browsers send a cookie of 127.0.0.1 to every port of it, ours
and anybody's. There is no CORS answer either: a page of another origin gets nothing.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace

from nexus_tray.model import Hop, Reason

HeaderFields = tuple[tuple[str, str], ...]
"""Field lines in order: name in lower case, value stripped, both as latin-1 text."""

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
BODY_LIMIT = 64 * 1024
"""Most bytes of a request's body."""


@dataclass(frozen=True)
class Head:
    """What the guard sees of a request."""

    method: str
    fields: HeaderFields

    def all(self, name: str) -> tuple[str, ...]:
        """The values of every field of that lower-case name."""
        return tuple(value for key, value in self.fields if key == name)

    def get(self, name: str) -> str | None:
        """The first value of that field, or None."""
        return next(iter(self.all(name)), None)


def _none(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Pass:
    """What a request must show: the exact authority it was sent to, and the token.

    `session` knows the tokens of open dashboards, which are as good as `token`. `scrape` is a
    token that opens the counters and nothing else.
    """

    authority: str
    token: str
    session: Callable[[str], bool] = _none
    scrape: str = ""

    @property
    def to_scrape(self) -> "Pass":
        """What a request for the counters must show: any of these."""
        return replace(self, session=lambda given: self.session(given) or self._scrapes(given))

    def _scrapes(self, given: str) -> bool:
        shown = given.encode("latin-1", "replace")
        return hmac.compare_digest(shown, self.scrape.encode()) and bool(self.scrape)


@dataclass(frozen=True)
class Refusal:
    """An answer instead of the route's: a status and why."""

    status: int
    reason: Reason


Rule = Callable[[Head, Pass], Refusal | None]


def judge(head: Head, wanted: Pass, *, token: bool = True) -> Refusal | None:
    """The first rule that the request breaks, or None: it may go on to its route.

    Without `token` every rule but that one: for the dashboard's files, and for the exchange
    of a ticket, which is what it shows instead.
    """
    rules: tuple[Rule, ...] = (
        _host, _origin, _fetch_site, _framing, _method, _form, _token, _size,
    )  # fmt: skip
    if not token:
        rules = (_host, _origin, _fetch_site, _framing, _method, _form, _size)
    return next((refusal for rule in rules if (refusal := rule(head, wanted))), None)


def _host(head: Head, wanted: Pass) -> Refusal | None:
    """DNS rebinding: a foreign name that now points at 127.0.0.1 still stands in Host.

    Not even `localhost`: the authority is the one we told, exactly, and there is one.
    """
    if head.all("host") == (wanted.authority,):
        return None
    return _refused(
        403,
        "api-host",
        "The request was addressed to another name than this API's.",
        f"Use http://{wanted.authority} exactly as it is written.",
    )


def _origin(head: Head, wanted: Pass) -> Refusal | None:
    """Cross-site requests: a browser names the page's origin; only our own may ask.

    Programs send none. `null` (a sandboxed frame, a local file) is foreign.
    """
    origins = head.all("origin")
    if origins in ((), (f"http://{wanted.authority}",)):
        return None
    return _foreign()


def _fetch_site(head: Head, _: Pass) -> Refusal | None:
    """The same, for requests on which browsers leave Origin out (Fetch Metadata)."""
    if all(value in ("same-origin", "none") for value in head.all("sec-fetch-site")):
        return None
    return _foreign()


def _framing(head: Head, _: Pass) -> Refusal | None:
    """One plain Content-Length or none; wsgiref would accept what is ambiguous."""
    lengths = head.all("content-length")
    plain = all(value.isascii() and value.isdigit() and len(value) <= 15 for value in lengths)
    if len(lengths) <= 1 and plain and not head.all("transfer-encoding"):
        return None
    return _refused(
        400,
        "api-framing",
        "The length of the request's body is not stated plainly.",
        "Send one Content-Length in digits, and no Transfer-Encoding.",
    )


def _method(head: Head, _: Pass) -> Refusal | None:
    """No OPTIONS (there is no CORS), no TRACE, nothing unknown."""
    if head.method in METHODS:
        return None
    return _refused(405, "api-method", "This method is not used by the API.", "See openapi.json.")


def _form(head: Head, _: Pass) -> Refusal | None:
    """Blind cross-site posts: a form cannot say application/json without asking first.

    A request that changes something and has no body may leave the type out.
    """
    if head.method == "GET":
        return None
    types = head.all("content-type")
    if not types and body_length(head) == 0:
        return None
    if len(types) == 1 and types[0].split(";")[0].strip().lower() == "application/json":
        return None
    return _refused(
        403,
        "api-form",
        "The request's body does not say that it is JSON.",
        "Send Content-Type: application/json.",
    )


def _token(head: Head, wanted: Pass) -> Refusal | None:
    """The bearer token (RFC 6750, in the header only), compared in constant time."""
    values = head.all("authorization")
    scheme, _, given = (values[0] if len(values) == 1 else "").partition(" ")
    # latin-1 is how the field was read, so this is what was sent, byte for byte.
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), wanted.token.encode())
    if scheme.lower() == "bearer" and ((same and wanted.token) or wanted.session(given.strip())):
        return None
    return _refused(
        401,
        "api-token",
        "The request does not carry this program's token.",
        "Open the dashboard anew (nexus-tray dashboard); for a program, the token is in "
        "api.json in the run folder. Both are new after each start.",
    )


def _size(head: Head, _: Pass) -> Refusal | None:
    """A bound on what is read into memory. A GET has no body here."""
    limit = 0 if head.method == "GET" else BODY_LIMIT
    if body_length(head) <= limit:
        return None
    return _refused(
        413, "api-too-long", f"The request's body is longer than {limit} bytes.", "Send less."
    )


def body_length(head: Head) -> int:
    """The bytes of body that the head announces; call it only after `_framing` agreed."""
    return int(head.get("content-length") or 0)


def _foreign() -> Refusal:
    return _refused(
        403,
        "api-origin",
        "A page of another origin asked for this.",
        "Open the dashboard from the tray or with `nexus-tray open`.",
    )


def _refused(status: int, code: str, what: str, cure: str) -> Refusal:
    meaning = "Nothing was changed."
    return Refusal(
        status, Reason(code=code, hop=Hop.GATEWAY, what=what, meaning=meaning, cure=cure)
    )
