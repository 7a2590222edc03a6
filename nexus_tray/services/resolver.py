"""Where a public name leads, by a resolver that did not cache its absence.

Owns the question. The system's resolver comes first, as for a browser. A resolver remembers
for minutes, even hours, that a name does not exist (RFC 2308), so its "no such name" is
checked by DNS over HTTPS at two fixed addresses, in the JSON form that both speak. Imports the
standard library; blocks for seconds; any thread.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

LIMIT = 4.0
_MOST = 64 * 1024
_A, _AAAA = 1, 28
_NO_ERROR, _NO_SUCH_NAME = 0, 3

_ABSENT = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
} | {11001, 11004}  # Windows: WSAHOST_NOT_FOUND, WSANO_DATA


class NoSuchName(Exception):
    """The name does not exist, by those who should know."""


class NoResolver(Exception):
    """Nobody could be asked: that says nothing of the name."""


@dataclass(frozen=True)
class Endpoint:
    """A DNS-over-HTTPS service that answers JSON. `host` is an address, so that no name has to
    be looked up for it. `trust`: as in `public_visit.Front`."""

    host: str
    path: str
    port: int = 443
    trust: str | None = None


ENDPOINTS = (Endpoint("1.1.1.1", "/dns-query"), Endpoint("8.8.8.8", "/resolve"))


def by_system(name: str) -> tuple[str, ...]:
    """The addresses by the system's resolver. Raises NoSuchName, NoResolver."""
    try:
        found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _ABSENT:
            raise NoSuchName(name) from error
        raise NoResolver(str(error)) from error
    except (OSError, UnicodeError) as error:
        raise NoResolver(str(error)) from error
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def by_https(name: str, endpoint: Endpoint) -> tuple[str, ...]:
    """The addresses by that service. Raises NoSuchName, NoResolver."""
    found = _ask(name, _A, endpoint) or _ask(name, _AAAA, endpoint)
    if not found:
        raise NoSuchName(name)
    return found


def resolve(
    name: str,
    system: Callable[[str], tuple[str, ...]] = by_system,
    endpoints: tuple[Endpoint, ...] = ENDPOINTS,
) -> tuple[str, ...]:
    """Where the name leads. Raises NoSuchName only when somebody beyond this machine's own
    resolver says so and nobody knows better; NoResolver when nobody could be asked."""
    try:
        return system(name)
    except (NoSuchName, NoResolver):
        pass
    denied = False
    for endpoint in endpoints:
        try:
            return by_https(name, endpoint)
        except NoSuchName:
            denied = True
        except NoResolver:
            continue
    if denied:
        raise NoSuchName(name)
    raise NoResolver(name)


def _ask(name: str, kind: int, endpoint: Endpoint) -> tuple[str, ...]:
    """The addresses of that kind; empty: the name has none. Raises NoSuchName, NoResolver."""
    query = urlencode({"name": name, "type": kind})
    context = ssl.create_default_context(cafile=endpoint.trust)
    connection = http.client.HTTPSConnection(
        endpoint.host, endpoint.port, timeout=LIMIT, context=context
    )
    try:
        connection.request(
            "GET", f"{endpoint.path}?{query}", headers={"Accept": "application/dns-json"}
        )
        answer = connection.getresponse()
        said = answer.read(_MOST)
        if answer.status != http.client.OK:
            raise NoResolver(f"{endpoint.host} answered {answer.status}")
        return _addresses(json.loads(said), kind)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoResolver(f"{endpoint.host}: {error}") from error
    finally:
        connection.close()


def _addresses(said: object, kind: int) -> tuple[str, ...]:
    """What the JSON form says (RFC 8427's plain cousin, as Cloudflare and Google document it)."""
    if not isinstance(said, dict):
        raise NoResolver("no answer that can be read")
    status, records = said.get("Status"), said.get("Answer", [])
    if status == _NO_SUCH_NAME:
        raise NoSuchName
    if status != _NO_ERROR or not isinstance(records, list):
        raise NoResolver(f"status {status}")
    return tuple(
        str(one["data"])
        for one in records
        if isinstance(one, dict) and one.get("type") == kind and "data" in one
    )
