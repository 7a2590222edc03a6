"""What is said of a tunnel's troubles depends on its kind: a quick one loses its address.

Owns these words. Pure data; imports the vocabulary only.
"""

from dataclasses import dataclass

from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Reason

QUICK, NAMED, TOKEN = "quick", "named", "token"

REFUSALS = frozenset(("tunnel-gone", "tunnel-secret-refused"))
"""What Cloudflare says when it will not have a tunnel (`cloudflare.failures`)."""


@dataclass(frozen=True)
class Words:
    """The words of one kind. `secret` None: as `cloudflare.failures` has it."""

    starting: Reason
    blocked: Failure
    gone: Failure
    lost: Failure
    moved: Failure
    secret: Failure | None = None


def _edge(code: str, what: str, meaning: str, cure: str, cause: Cause = Cause.NETWORK) -> Failure:
    return Failure(cause, Reason(code=code, hop=Hop.EDGE, what=what, meaning=meaning, cure=cure))


_BLOCKED = (
    "quic-blocked",
    "The tunnel could not connect over QUIC.",
    "This network probably blocks UDP port 7844.",
)
_LOST = ("tunnel-lost", "The tunnel did not come back.")
_MOVED = ("network-changed", "The tunnel did not come back after this machine changed networks.")
_GIVEN_UP = "Its address is given up."
_STAYS = "It is started again; its address stays."
_NO_ANSWER = "Its address does not answer until it is back."

_REFUSED = (
    "tunnel-refused",
    "Cloudflare refuses this tunnel.",
    "It was probably deleted there, or its secret was changed.",
)
UNTOLD = _edge(*_REFUSED, "It is tried again over HTTP/2, where Cloudflare says why.")
"""Over QUIC cloudflared never tells why (FACTS.md)."""
ONLY_QUIC = _edge(*_REFUSED, "Set its transport to auto: over HTTP/2 Cloudflare says why.")


def _starting(what: str) -> Reason:
    return Reason(code="tunnel-starting", hop=Hop.CLOUDFLARED, what=what)


_QUICK = Words(
    starting=_starting("A new address is being asked for at Cloudflare."),
    blocked=_edge(*_BLOCKED, "It is tried over HTTP/2 now, with a new address."),
    gone=_edge(
        "tunnel-gone",
        "Cloudflare no longer knows this tunnel.",
        "A quick tunnel ends so after a time without connection; its address is lost.",
        "A new quick tunnel is asked for, with a new address.",
    ),
    lost=_edge(*_LOST, _GIVEN_UP, "A new quick tunnel is asked for, with a new address."),
    moved=_edge(*_MOVED, _GIVEN_UP, "It is started anew for this network, with a new address."),
)


def _kept(gone: str, secret: tuple[str, str]) -> Words:
    """A tunnel that has its address for good. `gone`: what to do when it was deleted."""
    return Words(
        starting=_starting("cloudflared is starting."),
        blocked=_edge(*_BLOCKED, "It is tried over HTTP/2 now; its address stays."),
        gone=_edge(
            "tunnel-gone",
            "Cloudflare no longer knows this tunnel.",
            "It was deleted at Cloudflare.",
            gone,
            Cause.FATAL,
        ),
        lost=_edge(*_LOST, _NO_ANSWER, _STAYS),
        moved=_edge(*_MOVED, _NO_ANSWER, _STAYS),
        secret=_edge(
            "tunnel-secret-refused",
            "Cloudflare refused the tunnel's secret.",
            *secret,
            Cause.FATAL,
        ),
    )


KINDS = {
    QUICK: _QUICK,
    NAMED: _kept(
        "Delete the tunnel here and create it again.",
        (
            "Its credentials are of another tunnel, or were replaced at Cloudflare.",
            "Delete the tunnel and create it again.",
        ),
    ),
    TOKEN: _kept(
        "Make a tunnel in Cloudflare's dashboard, and enter its token here.",
        ("Its token was replaced at Cloudflare.", "Enter the new token of the tunnel."),
    ),
}
