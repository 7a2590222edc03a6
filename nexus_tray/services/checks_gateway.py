"""Is the gateway's local door open, does it ask strangers to sign in, is its socket private?

Owns these looks. Imports layer 1 and the store's rule of what is private. `app.doctor`
calls each in a thread of its own.
"""

import http.client
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

from nexus_tray.finding import Finding, bad, good, unknown
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.store.files import check_private

LIMIT = 4.0


def door(address: str | None, limit: float = LIMIT) -> Finding:
    """Whether the local door answers, and gives a stranger nothing."""
    if address is None:
        what = "The gateway's local door is not open."
        return bad(_reason("door-shut", what, NOTHING, RESTART))
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=limit)
    try:
        connection.request("GET", "/config")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        what = f"The gateway's local door at {address} does not answer: {error}."
        return bad(_reason("door-silent", what, NOTHING, RESTART))
    finally:
        connection.close()
    if 200 <= status < 300:
        what = f"The gateway gave a stranger OpenCode's configuration (status {status})."
        meaning = "Whoever can reach this computer could use OpenCode."
        return bad(_reason("door-open", what, meaning, "Stop it and tell us: nexus-tray quit"))
    return good(f"{address}, and strangers are turned away ({status})")


def tunnel_socket(path: Path) -> Finding:
    """Whether nobody else on this machine can reach the socket that tunnels lead to."""
    if sys.platform == "win32":
        return good("none on this system: tunnels lead to a loopback port and a secret")
    try:
        status = path.lstat()
        if not stat.S_ISSOCK(status.st_mode):
            what = f"{path} is not a socket."
            return bad(_reason("socket-odd", what, "No tunnel can reach the gateway.", RESTART))
        check_private(path.parent)
        check_private(path)
    except FileNotFoundError:
        return unknown("not there: the gateway is not running")
    except Problem as problem:
        return bad(problem.reason)
    return good(f"{path}, for you alone ({stat.S_IMODE(status.st_mode):04o})")


NOTHING = "Nothing is reachable through it, neither from here nor from outside."
RESTART = "Start it anew: nexus-tray restart gateway"


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"doctor-{code}", hop=Hop.GATEWAY, what=what, meaning=meaning, cure=cure)
