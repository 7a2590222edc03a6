"""Where OpenCode's own page shows what: the addresses of its sessions.

Owns their form, which tray, phone page and notifications share. Pure; any thread.
"""

import base64
import urllib.parse


def session_link(directory: str, session_id: str = "") -> str:
    """Where OpenCode's page shows a session; without an id, a new one in that folder.

    Without a folder, its front page: `//session/x` would name another host. Measured on
    OpenCode 1.18.33: `/{base64url(directory)}/session/{id}`.
    """
    if not directory:
        return "/"
    place = base64.urlsafe_b64encode(directory.encode("utf-8", "surrogateescape"))
    link = f"/{place.decode().rstrip('=')}/session"
    return f"{link}/{urllib.parse.quote(session_id, safe='')}" if session_id else link
