"""cloudflared on an account: how it is asked, and what its answers mean.

Owns the command lines and the reading of what cloudflared prints for create, delete, cleanup,
route dns and login (recordings of the lab; 2026.8.2). Pure; any thread. Nothing secret stands in
a command line; the certificate is named by its path.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.model import Hop, Problem, Reason

_LOGIN_LINK = re.compile(r"https://dash\.cloudflare\.com/argotunnel\?\S+")
_ROUTED = re.compile(
    r"(?:Added CNAME (\S+) which will route to this tunnel"
    r"|(\S+) updated to route to your tunnel"
    r"|(\S+) is already configured to route to your tunnel)"
)
_CODE = re.compile(r"code: (\d+), reason: ([^\r\n]*)")
_STATUS = re.compile(r"failed with status (\d{3}): ([^\r\n]*)")
_GONE = ("has already been deleted", "is neither the ID nor the name", "Tunnel not found")


@dataclass(frozen=True)
class Said:
    """What one run of cloudflared printed, and its exit code (None: ended by us)."""

    code: int | None
    out: str
    err: str


class _Made(msgspec.Struct):
    id: str


def create_arguments(certificate: Path, credentials: Path, name: str) -> tuple[str, ...]:
    """Make a tunnel; its credentials go to that file, which must not exist."""
    return (
        *_account(certificate), "create", "--output", "json",
        "--credentials-file", str(credentials), name,
    )  # fmt: skip


def route_arguments(
    certificate: Path, tunnel_id: str, hostname: str, *, overwrite: bool
) -> tuple[str, ...]:
    """Lead a host name to a tunnel."""
    force = ("--overwrite-dns",) if overwrite else ()
    return (*_account(certificate), "route", "dns", *force, tunnel_id, hostname)


def cleanup_arguments(certificate: Path, tunnel_id: str) -> tuple[str, ...]:
    """End the connections that the edge still knows."""
    return (*_account(certificate), "cleanup", tunnel_id)


def delete_arguments(certificate: Path, tunnel_id: str) -> tuple[str, ...]:
    """Delete a tunnel, whatever is still connected to it."""
    return (*_account(certificate), "delete", "--force", tunnel_id)


def login_arguments() -> tuple[str, ...]:
    """Sign in; the certificate goes below HOME."""
    return ("tunnel", "login")


def _account(certificate: Path) -> tuple[str, ...]:
    return ("tunnel", "--origincert", str(certificate), "--no-autoupdate")


def login_link(line: str) -> str | None:
    """The page to open, if this line names it."""
    found = _LOGIN_LINK.search(line)
    return found[0] if found else None


def made(said: Said, name: str) -> str:
    """The new tunnel's id. Raises Problem."""
    if said.code == 0:
        try:
            return msgspec.json.decode(said.out, type=_Made).id
        except msgspec.DecodeError as error:
            raise Problem(_odd("make the tunnel")) from error
    if "tunnel with name already exists" in said.err:
        raise Problem(
            Reason(
                code="tunnel-exists",
                hop=Hop.EDGE,
                what=f"There is a tunnel named “{name}” in this account already.",
                meaning="Nothing was made.",
                cure="Choose another name, or delete that one in Cloudflare's dashboard first.",
            )
        )
    raise Problem(refused(said, "make the tunnel"))


def routed(said: Said) -> str | None:
    """The host name that leads to the tunnel now, as cloudflared says it; None: another record
    is in its place. Raises Problem."""
    if said.code == 0:
        found = _ROUTED.search(said.err + said.out)
        if found is None:
            raise Problem(_odd("lead the host name to the tunnel"))
        return next(name for name in found.groups() if name).lower().rstrip(".")
    problem = _CODE.search(said.err)
    if problem is not None and problem[1] == "1003" and "already exists" in problem[2]:
        return None
    raise Problem(refused(said, "lead the host name to the tunnel"))


def gone(said: Said) -> bool:
    """Whether the tunnel is deleted now: just so, or before. Raises Problem."""
    if said.code == 0:
        return True
    if any(words in said.err for words in _GONE):
        return True
    raise Problem(refused(said, "delete the tunnel"))


def still_there() -> Reason:
    """cloudflared deleted it, and deleted it again: Cloudflare's answers are not Cloudflare's."""
    meaning = "Something between here and Cloudflare answers in its place, or it has a fault."
    return _reason("api-garbage", "Cloudflare said yes, but the tunnel is there.", LATER, meaning)


def cleaned(said: Said) -> None:
    """No connection of the tunnel is left, or the tunnel itself is not. Raises Problem."""
    if said.code != 0 and not any(words in said.err for words in _GONE):
        raise Problem(refused(said, "end the tunnel's connections"))


def refused(said: Said, what: str) -> Reason:
    """Why cloudflared could not do it, in our words."""
    if said.code is None:
        return _reason("api-silent", f"Cloudflare did not answer the wish to {what}.", LATER)
    found = _CODE.search(said.err)
    if found is not None:
        return _by_code(int(found[1]), found[2], what)
    text = said.err
    status = _STATUS.search(text)
    if "REST request failed: unauthorized" in text:
        return _by_code(10000, "", what)
    if status is not None:
        return _by_code(971 if status[1] == "429" else int(status[1]), status[2], what)
    if "failed to decode response" in text:
        meaning = "Something between here and Cloudflare answers in its place, or it has a fault."
        return _reason("api-garbage", "Cloudflare's answer made no sense.", LATER, meaning)
    if any(words in text for words in ("no such host", "dial tcp", "REST request failed", "EOF")):
        return _reason("api-unreachable", "Cloudflare's API could not be reached.", LATER)
    if "origin cert" in text:
        return _reason(
            "origin-certificate-missing", "The certificate for this zone cannot be used.", SIGN_IN
        )
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return _reason("cloudflared-refused", f"cloudflared could not {what}: {last[:200]}", LATER)


def _by_code(code: int, said: str, what: str) -> Reason:
    if code in (10000, 9109, 6003):
        return _reason(
            "api-not-allowed",
            f"Cloudflare does not accept this zone's certificate any more ({code}).",
            SIGN_IN,
        )
    if code == 971 or "rate limit" in said.lower():
        cure = "Wait a few minutes, then try again."
        return _reason("api-rate-limited", "Cloudflare was asked too often just now.", cure)
    if code == 1022:
        return _reason(
            "tunnel-in-use", "Another cloudflared is still connected to this tunnel.",
            "Stop it on the other machine, then try again.",
        )  # fmt: skip
    return _reason("api-refused", f"Cloudflare refused to {what}: {said[:200]} ({code}).", LATER)


def _odd(what: str) -> Reason:
    meaning = "It may be another version than the one Nexus Tray knows."
    cure = "Look at Cloudflare's dashboard, and use the official cloudflared."
    return _reason(
        "cloudflared-odd", f"cloudflared was asked to {what} and answered otherwise.", cure, meaning
    )


def _reason(code: str, what: str, cure: str, meaning: str = "") -> Reason:
    return Reason(code=code, hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)


LATER = "Try again in a minute."
SIGN_IN = "Sign in at Cloudflare again: nexus-tray tunnel login"
