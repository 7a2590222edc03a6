"""The web app manifest of our own pages, so that a phone can keep them as an app.

Pure. It tells a stranger the computer's name and nothing else, as the sign-in page does; browsers
ask for it without cookies. Imports nothing of ours but `gateway.http`. Any thread.
"""

import json

from nexus_tray.gateway.http import PREFIX

KIND = "application/manifest+json"
ICONS = (
    ("app-192.png", "192x192", "any"),
    ("app-512.png", "512x512", "any"),
    ("app-maskable.png", "512x512", "maskable"),
)


def manifest(machine: str) -> bytes:
    """The manifest's JSON (W3C Web Application Manifest)."""
    icons = [
        {"src": f"{PREFIX}{name}", "sizes": sizes, "type": "image/png", "purpose": purpose}
        for name, sizes, purpose in ICONS
    ]
    return json.dumps(
        {
            "name": f"OpenCode on {machine}",
            "short_name": machine,
            "id": PREFIX,
            "start_url": PREFIX,
            "scope": PREFIX,
            "display": "standalone",
            "background_color": "#f6f6f3",
            "theme_color": "#1b1e22",
            "icons": icons,
        }
    ).encode()
