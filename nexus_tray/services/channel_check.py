"""A request of our own through the public address: does our cloudflared add the secret?

Owns that one request (SECURITY.md, Channel). The gateway refuses whatever lacks a tunnel's
secret, so a cloudflared without TUNNEL_TAG is harmless, but useless; this finds it out before
a person does. Imports the standard library; blocks; used by the probe's thread.

The name is never looked up: a resolver asked too early would remember that it does not exist
(SECURITY.md 23). Any address of Cloudflare's serves every name, so the host that cloudflared
itself has just asked is asked for ours. (Read, not measured at the real edge: if it should
not answer, nothing is proved, and nothing is claimed.)
"""

import email.utils
import http.client
import socket
import ssl
from dataclasses import dataclass
from enum import Enum

LIMIT = 4.0
"""Seconds that the whole request may take, connecting included, roughly."""

PATH = "/_nexus/channel-check"
"""Ours, and nothing stands there: what matters is whether the gateway admits the request."""

REFUSED_AT_THE_DOOR = b"This request did not come through a tunnel of this machine."
"""How the gateway refuses what lacks a known secret (gateway/doors.py)."""

_MOST = 64 * 1024


class Seen(Enum):
    """What came back: our gateway's refusal for want of the secret, something else, nothing."""

    REFUSED = "refused"
    ANSWERED = "answered"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Front:
    """Where Cloudflare answers visitors. `trust`: a PEM file of the only authority believed,
    or None for the system's."""

    host: str = "api.trycloudflare.com"
    port: int = 443
    trust: str | None = None


@dataclass(frozen=True)
class Visit:
    """What a visit brought. `date`: what time Cloudflare said it is, seconds since the epoch."""

    seen: Seen
    date: float | None = None


def visit(hostname: str, front: Front) -> Visit:
    """Visit `https://hostname` once. Any thread; never raises for what a network may do."""
    context = ssl.create_default_context(cafile=front.trust)
    try:
        with (
            socket.create_connection((front.host, front.port), timeout=LIMIT) as plain,
            context.wrap_socket(plain, server_hostname=hostname) as secure,
        ):
            secure.settimeout(LIMIT)
            request = f"GET {PATH} HTTP/1.1\r\nHost: {hostname}\r\nConnection: close\r\n\r\n"
            secure.sendall(request.encode("ascii"))
            answer = http.client.HTTPResponse(secure, method="GET")
            try:
                answer.begin()
                body = answer.read(_MOST)
            finally:
                answer.close()
    except (OSError, http.client.HTTPException):
        return Visit(Seen.NOTHING)
    refused = answer.status == 403 and REFUSED_AT_THE_DOOR in body
    return Visit(Seen.REFUSED if refused else Seen.ANSWERED, _epoch(answer.getheader("Date")))


def _epoch(date: str | None) -> float | None:
    """An HTTP date (RFC 9110, 5.6.7) as seconds since the epoch."""
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
