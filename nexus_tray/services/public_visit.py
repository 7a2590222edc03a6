"""One visit of our own through the public address, as a browser would make it.

Owns that one request and what its answer is taken for. A question that only our gateway can
answer is asked (`gateway.proof`), so a foreign page is never taken for ours; and whether our
cloudflared adds the channel's secret (SECURITY.md, Channel) is seen by the same visit, for the
gateway refuses whatever lacks it. Imports this room and the standard library; blocks for up to
some seconds; used by threads that look after addresses.

A fresh quick tunnel's name is not looked up: a resolver asked too early would remember that it
does not exist (SECURITY.md 23). Any address of Cloudflare's serves every name, so a host that is
known to be Cloudflare's is asked for ours. (Read, not measured at the real edge: if it should
not answer, nothing is proved, and nothing is claimed.)
"""

import contextlib
import email.utils
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from nexus_tray.gateway.proof import Answer, Question
from nexus_tray.model import Reason
from nexus_tray.services import public_certificate
from nexus_tray.services.public_certificate import Certificate
from nexus_tray.services.resolver import NoResolver, NoSuchName, resolve

LIMIT = 5.0
"""Seconds that each step may take: connecting, and the answer's next byte."""

WHOLE = 10.0
"""Seconds that an answer may take as a whole; one that drips, or never ends, is cut off."""

REFUSED_AT_THE_DOOR = b"This request did not come through a tunnel of this machine."
"""How the gateway refuses what lacks a known secret (gateway/doors.py)."""

_MOST = 64 * 1024
_ADDRESSES = 3
_CLOUDFLARES = re.compile(rb"(?i)\berror(?:\s+code)?:?\s*(?:<[^>]{0,99}>\s*)*(1\d{3}|[45]\d\d)\b")

_FIREWALL = {"1005", "1006", "1007", "1008", "1009", "1010", "1012", "1015", "1020"}
"""Errors of Cloudflare's with which the zone's own rules turn somebody away."""


class Seen(Enum):
    """What a visit met.

    OURS: our gateway, by this tunnel. ASTRAY: our gateway, by another tunnel. REFUSED: our
    gateway, which missed the secret. CLOUDFLARE: Cloudflare's own error. GUARDED: Cloudflare
    asks for something first (Access, a challenge), or the zone's rules turn us away. FOREIGN:
    somebody else's page. UNTRUSTED: no certificate that a browser would believe. NO_NAME: the
    name does not exist. SILENT: connected, but no answer. NO_WAY: nobody could be connected to,
    or asked for the name; that may be this machine's network.
    """

    OURS = "ours"
    ASTRAY = "astray"
    REFUSED = "refused"
    CLOUDFLARE = "cloudflare"
    GUARDED = "guarded"
    FOREIGN = "foreign"
    UNTRUSTED = "untrusted"
    NO_NAME = "no-name"
    SILENT = "silent"
    NO_WAY = "no-way"


@dataclass(frozen=True)
class Front:
    """Where Cloudflare answers visitors. `trust`: a PEM file of the only authority believed,
    or None for the system's."""

    host: str = "api.trycloudflare.com"
    port: int = 443
    trust: str | None = None


@dataclass(frozen=True)
class Visit:
    """What a visit brought. `code`: Cloudflare's error, as "1033" or "530". `date`: what time
    the other side said it is (epoch seconds). `round_trip_ms`: from the request to the head of
    the answer. `certificate`, `trouble`: what was shown, and why a browser would refuse it.
    """

    hostname: str
    seen: Seen
    status: int | None = None
    code: str = ""
    date: float | None = None
    round_trip_ms: float | None = None
    certificate: Certificate | None = None
    trouble: Reason | None = None


@dataclass(frozen=True)
class Way:
    """How to get to a name. `front`: go there instead of looking the name up. `trust`: as in
    Front, where there is none."""

    front: Front | None = None
    port: int = 443
    trust: str | None = None
    look_up: Callable[[str], tuple[str, ...]] = resolve


def visit(hostname: str, question: Question, way: Way) -> Visit:
    """Visit `https://hostname` once. Any thread; never raises for what a network may do."""
    met = Visit(hostname, Seen.NO_WAY)
    try:
        places = _places(hostname, way)
    except NoSuchName:
        return replace(met, seen=Seen.NO_NAME)
    except NoResolver:
        return met
    trust = way.front.trust if way.front is not None else way.trust
    context = public_certificate.as_a_browser(trust)
    for place in places[:_ADDRESSES]:
        try:
            plain = socket.create_connection(place, timeout=LIMIT)
        except OSError:
            continue
        with contextlib.closing(plain):
            return _over(plain, place, context, hostname, question)
    return met


def _places(hostname: str, way: Way) -> list[tuple[str, int]]:
    if way.front is not None:
        return [(way.front.host, way.front.port)]
    return [(address, way.port) for address in way.look_up(hostname)]


def _over(
    plain: socket.socket,
    place: tuple[str, int],
    context: ssl.SSLContext,
    hostname: str,
    question: Question,
) -> Visit:
    """The rest of the visit, over this connection."""
    met = Visit(hostname, Seen.SILENT)
    try:
        secure = context.wrap_socket(plain, server_hostname=hostname)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return met
    except ssl.SSLError as error:
        shown = public_certificate.unverified(hostname, place, LIMIT)
        trouble = public_certificate.refused(hostname, error)
        return replace(met, seen=Seen.UNTRUSTED, certificate=shown, trouble=trouble)
    except OSError:
        return met
    with contextlib.closing(secure):
        met = replace(met, certificate=public_certificate.verified(secure))
        return _ask(secure, met, question)


def _ask(secure: ssl.SSLSocket, met: Visit, question: Question) -> Visit:
    request = (
        f"GET {question.path} HTTP/1.1\r\nHost: {met.hostname}\r\n"
        "User-Agent: nexus-tray\r\nConnection: close\r\n\r\n"
    )
    began = time.monotonic()
    try:
        with _cut_off_after(WHOLE, secure), _reading(secure) as answer:
            secure.sendall(request.encode("ascii"))
            answer.begin()
            took = (time.monotonic() - began) * 1000
            body = _body(answer)
    except (OSError, http.client.HTTPException):
        return met
    met = replace(met, status=answer.status, date=_epoch(answer.getheader("Date")))
    if answer.status == http.client.OK:
        said = question.judge(body.strip())
        if said is not Answer.FOREIGN:
            seen = Seen.OURS if said is Answer.OURS else Seen.ASTRAY
            return replace(met, seen=seen, round_trip_ms=round(took, 1))
    return _other(met, answer, body)


def _body(answer: http.client.HTTPResponse) -> bytes:
    """As much of it as counts, and as came: whose page it is shows at its beginning."""
    try:
        return answer.read(_MOST)
    except http.client.IncompleteRead as short:
        return short.partial


@contextlib.contextmanager
def _cut_off_after(seconds: float, secure: ssl.SSLSocket) -> Iterator[None]:
    """End the connection then, wherever whoever uses it waits."""
    # the plain socket's own: a TLS socket's would take its state from the thread that reads
    timer = threading.Timer(seconds, _end, (secure,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(secure: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(secure, socket.SHUT_RDWR)


def _other(met: Visit, answer: http.client.HTTPResponse, body: bytes) -> Visit:
    """Not our word: whose page it is."""
    if answer.status == http.client.FORBIDDEN and REFUSED_AT_THE_DOOR in body:
        return replace(met, seen=Seen.REFUSED)
    leads_to = answer.getheader("Location") or ""
    if answer.getheader("cf-mitigated") or ".cloudflareaccess.com/" in leads_to:
        return replace(met, seen=Seen.GUARDED)
    theirs = (answer.getheader("Server") or "").lower() == "cloudflare"
    named = _CLOUDFLARES.search(body)
    if theirs and answer.status >= http.client.FORBIDDEN and (named or answer.status >= 520):
        code = named[1].decode("ascii") if named else str(answer.status)
        seen = Seen.GUARDED if code in _FIREWALL else Seen.CLOUDFLARE
        return replace(met, seen=seen, code=code)
    return replace(met, seen=Seen.FOREIGN)


@contextlib.contextmanager
def _reading(secure: ssl.SSLSocket) -> Iterator[http.client.HTTPResponse]:
    answer = http.client.HTTPResponse(secure, method="GET")
    try:
        yield answer
    finally:
        answer.close()


def _epoch(date: str | None) -> float | None:
    """An HTTP date (RFC 9110, 5.6.7) as seconds since the epoch."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
