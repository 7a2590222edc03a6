"""Zones' certificates, tunnels' credentials and configurations: there, private, whole, accepted?

Owns these looks. Cloudflare is asked whether a zone's certificate still holds. What is known of a
public certificate and of the local door's comes from the tunnels' report. Nothing that a file
holds is repeated. Imports this room, the store's rule of what is private, and layer 1.
`app.doctor` calls each in a thread of its own.
"""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from nexus_tray.cloudflare import origin_certificate, tunnel_token
from nexus_tray.finding import Finding, bad, good, unknown, warning
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import CertificateReport, NetworkDoor
from nexus_tray.services.cloudflare_api import Api
from nexus_tray.services.environment import TOOL, child_environment
from nexus_tray.store.files import read_private

MOST = 256 * 1024
DAY = 86400.0
SOON = 14 * DAY
"""Seconds before its end from which a certificate is warned about."""
VALIDATE_LIMIT = 6.0


class _Credentials(msgspec.Struct):
    """What cloudflared writes when it makes a tunnel."""

    AccountTag: str
    TunnelSecret: str
    TunnelID: str


def zone(path: Path, base: str, name: str | None = None) -> Finding:
    """Whether a zone's certificate is whole, for us alone, and still accepted by Cloudflare.

    `base`: the API's address (empty: it is not asked); `name`: the zone's, where it is known.
    """
    name = name or path.stem[:8]
    try:
        found = origin_certificate.parse(read_private(path, MOST))
    except FileNotFoundError:
        return unknown("it went away while it was looked at")
    except Problem as problem:
        return bad(problem.reason)
    if found.zone_id != path.stem:
        what = f"The certificate for the zone {name} is another zone's."
        return bad(_reason("zone", what, NO_MAKING, SIGN_IN))
    if not base:
        return good(f"for {name}, for you alone; Cloudflare was not asked")
    try:
        accepted = Api(found, base).accepted()
    except Problem as problem:
        return good(f"for {name}, for you alone; not asked whether it holds: {problem.reason.what}")
    if not accepted:
        what = f"Cloudflare no longer accepts the certificate for {name}."
        return bad(_reason("zone-refused", what, NO_MAKING, SIGN_IN))
    return good(f"for {name}, for you alone, and Cloudflare accepts it")


def credentials(path: Path, tunnel_id: str) -> Finding:
    """Whether a named tunnel's credentials are there and are its own."""
    try:
        known = msgspec.json.decode(read_private(path, MOST), type=_Credentials)
    except FileNotFoundError:
        what = "The tunnel's credentials are missing."
        return bad(_reason("credentials", what, NO_START, MAKE_ANEW))
    except Problem as problem:
        return bad(problem.reason)
    except msgspec.MsgspecError:
        known = None
    if known is None or known.TunnelID.lower() != tunnel_id.lower() or not known.TunnelSecret:
        what = "The tunnel's credentials are damaged, or another tunnel's."
        return bad(_reason("credentials", what, NO_START, MAKE_ANEW))
    return good("there, for you alone, and for this very tunnel")


def token(read: Callable[[], str | None], tunnel_id: str) -> Finding:
    """Whether a token tunnel's token is stored and is its own. `read` raises Problem."""
    try:
        text = read()
    except Problem as problem:
        return bad(problem.reason)
    if text is None:
        what = "The tunnel's token is not stored here."
        return bad(_reason("token", what, NO_START, "Paste it again on the Tunnels page."))
    try:
        known = tunnel_token.parse(text)
    except Problem as problem:
        return bad(problem.reason)
    if known.tunnel_id != tunnel_id:
        what = "The stored token is another tunnel's."
        return bad(_reason("token", what, NO_START, "Paste the right one on the Tunnels page."))
    return good("stored, and for this very tunnel")


def configuration(find: Callable[[], Path], config: Path) -> Finding:
    """What cloudflared itself says of the configuration it is given."""
    if not config.is_file():
        return unknown("none is there: the tunnel was not started since the last boot")
    argv = [str(find()), "tunnel", "--config", str(config), "ingress", "validate"]
    try:
        done = subprocess.run(
            argv,
            env=child_environment(os.environ, TOOL),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VALIDATE_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return unknown(f"cloudflared could not be asked: {type(error).__name__}")
    if done.returncode == 0:
        return good("cloudflared finds it valid")
    lines = (done.stderr or done.stdout).decode(errors="replace").split("\n")
    said = next((line.strip()[:300] for line in lines if "alid" in line or "rror" in line), "")
    what = f"cloudflared refuses the tunnel's configuration: {said or 'it does not say why'}"
    return bad(_reason("configuration", what, NO_START, "Restart the tunnel: it is written anew."))


def certificate(report: CertificateReport) -> Finding:
    """The certificate at a public address, as it was seen last."""
    if report.reason is not None:
        return (warning if report.trusted else bad)(report.reason)
    if not report.trusted:
        return unknown("not seen yet")
    until = f", until {_day(report.not_after_at)}" if report.not_after_at else ""
    return good(f"{report.hostname}: of {report.issuer or 'a known authority'}{until}")


def network(door: NetworkDoor, now: float) -> Finding:
    """The certificate of the local network's door."""
    if door.reason is not None:
        return bad(door.reason)
    if door.not_after_at is None:
        return unknown("the door is not open")
    left = door.not_after_at - now
    if left > SOON:
        return good(f"valid until {_day(door.not_after_at)}")
    over = "has ended" if left <= 0 else f"ends in {int(left // DAY)} days"
    what = f"The certificate of the door for the local network {over}."
    cure = "Close the door and open it again; one of your own has to be renewed by you."
    return (bad if left <= 0 else warning)(
        _reason("network-certificate", what, "Browsers there then refuse to open it.", cure)
    )


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


NO_MAKING = "Tunnels go on, but none can be made or deleted in this zone."
SIGN_IN = "Sign in at Cloudflare again: nexus-tray tunnel login"
NO_START = "The tunnel cannot start."
MAKE_ANEW = "Delete the tunnel here and make it anew, or put the file back."


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.CLOUDFLARED, what=what, meaning=meaning, cure=cure)
