"""How many files and sockets this process may hold, and how many visitors that allows.

Owns RLIMIT_NOFILE. Where it is 1024, the usual soft limit, a thousand strangers who send
slowly would take every descriptor, and with them the local API, the logs and the children's
pipes (SECURITY.md 12). Standard library only; `visitors` is called once, before the gateway
is made; any thread.
"""

import contextlib
import sys

WANTED = 16_384
OURS = 256
"""What everything but the gateway's connections may take."""


def visitors(most: int) -> int:
    """Raise the limit as far as we may and it helps; how many visitors' connections fit, at
    most `most`. Each may need one to OpenCode."""
    if sys.platform == "win32":  # sockets there are not limited so
        return most
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = resource.RLIM_INFINITY
    wanted = WANTED if hard == endless else min(WANTED, hard)
    if soft != endless and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return most if soft == endless else max(8, min(most, (soft - OURS) // 2))
