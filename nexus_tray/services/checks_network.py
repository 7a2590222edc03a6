"""Is Cloudflare's edge reached over UDP, and its API over TLS? Really tried, with nothing started.

Owns these two looks. Imports layer 1. Each blocks for its time limit (name look-ups have none of
their own); `app.doctor` calls each in a thread of its own.

Over UDP a datagram is sent that begins a QUIC connection of a version that does not exist. A
server answers such a one by Version Negotiation (RFC 9000, 6.1 and 14.1: if it has 1200 bytes or
more), which costs it no state and us no handshake. Silence does not prove that the network blocks
it, so that is not said.
"""

import os
import secrets
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Hop, Reason, Service
from nexus_tray.services.checks_tunnel import EDGE, PORT, QUICK

APIS = ("api.cloudflare.com", QUICK)
LIMIT = 4.0
_AGAIN = 0.7
"""Seconds after which a datagram is sent once more: one may be lost on the way."""
_GREASE = 0x1A2A3A4A
"""A version that no QUIC will ever have (RFC 9000, 15)."""
_NO_NAME = "no address"
_LONG_INITIAL = 0xC0
_SMALLEST_DATAGRAM = 1200

T = TypeVar("T")


def udp(
    tunnels: Iterable[Service],
    hosts: Iterable[str] = EDGE,
    port: int = PORT,
    limit: float = LIMIT,
) -> Finding:
    """Whether the edge answers over UDP; and what the tunnels' own connections say of it."""
    names = list(hosts)
    over = [one.name for one in tunnels if one.facts.transport == "quic"]
    if not names and over:
        return good(f"tunnel “{over[0]}” is connected over QUIC")
    answers = _all(names, lambda host: greeted(host, port, limit))
    reached = [host for host, trouble in answers.items() if trouble is None]
    if reached:
        text = f"{len(reached)} of {len(names)} regions answer on UDP port {port}"
        return good(f"{text}; tunnel “{over[0]}” is connected over QUIC" if over else text)
    lost = "; ".join(f"{host}: {trouble}" for host, trouble in answers.items())
    if over:
        return good(f"tunnel “{over[0]}” is connected over QUIC (a trial got no answer: {lost})")
    if all(str(trouble).startswith(_NO_NAME) for trouble in answers.values()):
        return unknown(f"not tried: the edge's names could not be looked up ({lost})")
    what = f"Cloudflare did not answer on UDP port {port} ({lost})."
    meaning = (
        "Most likely this network or a firewall blocks it. Tunnels then take TCP (HTTP/2): it "
    )
    meaning += "works, but takes longer to come back after an interruption."
    return warning(_reason("no-quic", what, meaning, f"Allow outbound UDP on port {port}."))


def greeted(host: str, port: int, limit: float) -> str | None:
    """Why a QUIC server at that place gave no sign of life; None: it did."""
    try:
        place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        return f"{_NO_NAME}: {error.strerror or error}"
    ours, theirs = secrets.token_bytes(8), secrets.token_bytes(8)
    datagram = unknown_version(theirs, ours)
    end = time.monotonic() + limit
    try:
        with socket.socket(place[0], socket.SOCK_DGRAM) as line:
            line.connect(place[4])
            while (left := end - time.monotonic()) > 0:
                line.send(datagram)
                until = min(end, time.monotonic() + min(left, _AGAIN))
                while (wait := until - time.monotonic()) > 0:
                    if not select.select([line], [], [], wait)[0]:
                        break
                    if is_negotiation(line.recv(65_535), theirs, ours):
                        return None
    except OSError as error:
        return error.strerror or str(error)
    return "no answer"


def unknown_version(theirs: bytes, ours: bytes) -> bytes:
    """A datagram that begins a connection of an unknown version (RFC 8999, 5.1; RFC 9000, 14.1)."""
    head = bytes([_LONG_INITIAL | 0x0F]) + _GREASE.to_bytes(4, "big")
    head += bytes([len(theirs)]) + theirs + bytes([len(ours)]) + ours
    return head + os.urandom(_SMALLEST_DATAGRAM - len(head))


def is_negotiation(datagram: bytes, theirs: bytes, ours: bytes) -> bool:
    """Whether it is Version Negotiation in answer to ours (RFC 8999, 6): connection ids swapped."""
    wanted = bytes([len(ours)]) + ours + bytes([len(theirs)]) + theirs
    first = datagram[:1]
    long_form = bool(first and first[0] & 0x80)
    return long_form and datagram[1:5] == b"\0\0\0\0" and datagram[5:].startswith(wanted)


def api(
    environment: Mapping[str, str],
    hosts: Iterable[str] = APIS,
    port: int = 443,
    limit: float = LIMIT,
    trust: ssl.SSLContext | None = None,
) -> Finding:
    """Whether Cloudflare's API is reached, and who answers is Cloudflare by its certificate."""
    names = list(hosts)
    context = trust or ssl.create_default_context()
    answers = _all(names, lambda host: shaken(host, port, limit, context))
    strangers = {h: e for h, e in answers.items() if isinstance(e, ssl.SSLCertVerificationError)}
    if strangers:
        said = "; ".join(f"{host}: {error.verify_message}" for host, error in strangers.items())
        what = f"Who answers for Cloudflare's API has no certificate to be trusted ({said})."
        meaning = (
            "Something on this network opens TLS, or the clock is wrong; cloudflared refuses it."
        )
        return bad(_reason("api-certificate", what, meaning, "Try another network."))
    lost = {host: error for host, error in answers.items() if error is not None}
    if not lost:
        return good(f"{' and '.join(names)} answer over TLS")
    said = "; ".join(f"{host}: {_words(error)}" for host, error in lost.items())
    if any(name.lower().endswith("https_proxy") and environment.get(name) for name in environment):
        return unknown(
            f"not reached directly ({said}); a proxy is set, which cloudflared uses for it"
        )
    what = f"Cloudflare's API cannot be reached on TCP port {port} ({said})."
    meaning = "Tunnels that are connected go on; no new one can be made."
    cure = "Look whether other web pages open here; allow outbound TCP on port 443."
    return (bad if len(lost) == len(names) else warning)(_reason("api", what, meaning, cure))


def shaken(host: str, port: int, limit: float, context: ssl.SSLContext) -> OSError | None:
    """What hindered a TLS handshake with that host; None: nothing."""
    try:
        with (
            socket.create_connection((host, port), timeout=limit) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except OSError as error:
        return error


def _all(names: Iterable[str], ask: Callable[[str], T]) -> dict[str, T]:
    """What each answers, asked at once. Threads of daemons: one that hangs in a name look-up
    keeps the look waiting, but not the program's end."""
    answers: dict[str, T] = {}
    names = list(names)

    def keep(name: str) -> None:
        answers[name] = ask(name)

    threads = [threading.Thread(target=keep, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: answers[name] for name in names}


def _words(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else error.strerror or str(error)


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)
