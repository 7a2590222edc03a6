"""What a read-only API token may ask of OpenCode: this list, and nothing else.

Owns the list. Pure; imports `gateway.http` and the relay's refusal. A GET is not harmless by being
one: with `directory=` it chooses a folder, `/file/content` reads any file, and the terminal's
WebSocket is a GET (SECURITY.md "API tokens"; ASVS 5.0 V8.2.1). So operations and parameters are
named, and what is new in OpenCode is refused until somebody has looked at it.

The list leads to the sessions of one project, that of the folder where OpenCode was started
(folders without git are one project to it). What tells of all (`/experimental/session`, and
`/global/event` with every message; measured on 1.18.33) is not on it. A session is shown to whoever
knows its id.
"""

import re

from nexus_tray.gateway.http import Principal, Request
from nexus_tray.gateway.relay.heads import Refused

_ID = "[A-Za-z0-9_]{1,128}"

READING: dict[str, frozenset[str]] = {
    "/global/health": frozenset(),
    "/event": frozenset(),
    "/session": frozenset(("roots", "start", "search", "limit")),
    "/session/status": frozenset(),
    "/session/{id}": frozenset(),
    "/session/{id}/children": frozenset(),
    "/session/{id}/message": frozenset(("limit", "before")),
    "/session/{id}/message/{id}": frozenset(),
    "/session/{id}/todo": frozenset(),
    "/permission": frozenset(),
    "/question": frozenset(),
}
"""Path and parameters, as in the document of OpenCode 1.18.33."""

_SHAPES = tuple((re.compile(path.replace("{id}", _ID)), names) for path, names in READING.items())
_CHOOSING = b"x-opencode-"


def refuse_more_than_reading(request: Request, principal: Principal) -> None:
    """A read-only token is for the list alone. Raises Refused."""
    if principal.read_only and not _may(request):
        raise Refused(403, "This API token may only look at sessions, messages and events.")


def _may(request: Request) -> bool:
    if request.method not in ("GET", "HEAD") or request.websocket:
        return False
    if any(name.startswith(_CHOOSING) for name, _ in request.headers):
        return False
    for shape, names in _SHAPES:
        if shape.fullmatch(request.path):
            given = [part.partition("=")[0] for part in re.split("[&;]", request.query) if part]
            return all(name in names for name in given) and len(given) == len(set(given))
    return False
