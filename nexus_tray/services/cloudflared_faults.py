"""What can go wrong around cloudflared before it says a word, as reasons.

Owns these words; what cloudflared itself prints is `cloudflare.failures`. Pure; imports the
vocabulary. Used by the driver's threads and by `binaries`.
"""

import errno
from pathlib import Path

import msgspec

from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Hop, Reason

INSTALL = (
    "Run ./build/run, which fetches it, or install it as "
    "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/ says."
)


def reason(code: str, what: str, meaning: str = "", cure: str = "") -> Reason:
    """A reason of the cloudflared hop."""
    return Reason(
        code=f"cloudflared-{code}", hop=Hop.CLOUDFLARED, what=what, meaning=meaning, cure=cure
    )


def missing() -> Reason:
    """No cloudflared anywhere."""
    return reason(
        "missing",
        "cloudflared was not found on this machine.",
        "Without it there is no tunnel; OpenCode is reachable on this machine only.",
        f"{INSTALL} If it is installed elsewhere, name its path in cloudflared.program.",
    )


def not_there(program: Path) -> Reason:
    """The configured program is not there."""
    return reason(
        "missing",
        f"The cloudflared program {program} does not exist.",
        cure="Correct the setting cloudflared.program, or install cloudflared there.",
    )


def not_spawned(program: Path, error: OSError) -> Failure:
    """The system would not run the program. Lack of memory or descriptors may pass."""
    if isinstance(error, FileNotFoundError):
        return Failure(Cause.FATAL, not_there(program))
    if isinstance(error, PermissionError):
        what = f"The system does not allow {program} to be run."
        cure = f"Make it executable: chmod +x '{program}'"
        return Failure(Cause.FATAL, reason("not-allowed", what, cure=cure))
    if error.errno == errno.ENOEXEC:
        what = f"{program} is not a program for this machine."
        return Failure(Cause.FATAL, reason("wrong-kind", what, cure=INSTALL))
    what = f"cloudflared could not be started: {error.strerror or error}."
    return Failure(Cause.CRASH, reason("not-started", what))


def no_tag() -> Reason:
    """Requests arrive at the gateway without the tunnel's secret."""
    return reason(
        "no-tag",
        "This cloudflared does not mark its requests with the tunnel's secret.",
        "The gateway cannot tell them from a stranger's and refuses them all, so the tunnel "
        "was ended.",
        "Install the official cloudflared, or remove the setting cloudflared.program.",
    )


def check_hangs() -> Reason:
    """`ingress validate` gave no answer in time."""
    return reason("check-hangs", "cloudflared did not end the check of its configuration.")


def not_made() -> Reason:
    """A named tunnel without an id: its making did not come so far."""
    return Reason(
        code="tunnel-not-made",
        hop=Hop.CLOUDFLARED,
        what="This tunnel was not made at Cloudflare yet.",
        cure="Create it, or delete it here.",
    )


def no_credentials(path: Path) -> Reason:
    """The file of a named tunnel's credentials is gone."""
    return Reason(
        code="tunnel-credentials-missing",
        hop=Hop.CLOUDFLARED,
        what="The tunnel's credentials file is gone.",
        meaning="Without it Cloudflare does not let the tunnel connect.",
        cure=f"Put it back at {path}, or delete the tunnel and create it again.",
    )


def odd_credentials(path: Path) -> Reason:
    """The file is not what `tunnel create` wrote, or another tunnel's."""
    return Reason(
        code="tunnel-credentials-odd",
        hop=Hop.CLOUDFLARED,
        what=f"{path} does not hold the credentials of this tunnel.",
        meaning="It is damaged, or belongs to another tunnel.",
        cure="Put a copy of it back, or delete the tunnel and create it again.",
    )


def no_token() -> Reason:
    """No token is stored for a token tunnel."""
    return Reason(
        code="tunnel-token-missing",
        hop=Hop.CLOUDFLARED,
        what="There is no token for this tunnel here.",
        meaning="Without it Cloudflare does not let the tunnel connect.",
        cure="Enter it: in Cloudflare's dashboard, open the tunnel and copy the line that installs "
        "cloudflared.",
    )


def token_locked(why: Reason) -> Reason:
    """The token is stored, but out of reach. `why`: as the store of secrets says it."""
    return msgspec.structs.replace(
        why,
        meaning="The tunnel's token cannot be read, so the tunnel is off until then. It is tried "
        "again by itself.",
    )


def unforeseen() -> Reason:
    """A fault of ours: its traceback is in the log of Nexus Tray."""
    return reason(
        "unforeseen",
        "Something unforeseen happened in Nexus Tray while it looked after cloudflared.",
        cure="Please report it together with the log.",
    )
