"""Signing in at Cloudflare: the job that gets one zone's certificate.

Owns its steps. cloudflared asks for the certificate with a home of ours, new each time: with one
that has a certificate it does nothing (FACTS.md). Where the certificate does not come by
itself, Cloudflare's page lets the browser download it; where it may then be put is said, and it
is noticed. Runs in the job's thread.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus_tray.app.jobs import Course, Plan, Step
from nexus_tray.app.zones import MOST, Zones
from nexus_tray.cloudflare import origin_certificate
from nexus_tray.cloudflare import tunnel_tool as tool
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.services.cloudflare_tool import Tool
from nexus_tray.store import files

LIMIT = 600.0
"""Seconds that cloudflared waits for the person: ten questions of a minute (its source)."""
BY_HAND = 1800.0
"""Seconds for which a downloaded certificate is looked for."""


@dataclass(frozen=True)
class World:
    """What the steps need. `home` is the person's own; `wall` the time of day."""

    paths: Paths
    tool: Tool
    zones: Zones
    home: Path
    wall: Callable[[], float] = time.time


class Login:
    """Makes the plan. Any thread."""

    def __init__(self, world: World) -> None:
        self._world = world

    def plan(self, _: Mapping[str, str]) -> Plan:
        """Sign in, and keep the certificate."""
        steps = (
            Step("sign in", "Sign in at Cloudflare", self._sign_in),
            Step("zone", "Keep the certificate of the domain", self._keep),
        )
        return Plan(steps, undo=lambda _: self._tidy())

    def _tidy(self) -> str:
        shutil.rmtree(self._world.paths.zones.parent / "login", ignore_errors=True)
        return "Nothing was changed."

    def _sign_in(self, course: Course) -> str:
        world = self._world
        began = world.wall()
        home = world.paths.zones.parent / "login"
        shutil.rmtree(home, ignore_errors=True)
        files.ensure_private_dir(home)

        def line(text: str) -> None:
            link = tool.login_link(text)
            if link is not None:
                course.show(link=link, expires_at=began + LIMIT)

        said = world.tool.run(
            tool.login_arguments(), home, course.cancelled, on_line=line, limit=LIMIT
        )
        course.check()
        course.show()
        found = home / ".cloudflared" / "cert.pem"
        if not found.exists():
            link = tool.login_link(said.err)
            if link is None:
                raise Problem(tool.refused(said, "sign in"))
            self._wait_for_download(course, found, began, link)
        return "the certificate is here"

    def _wait_for_download(self, course: Course, wanted: Path, began: float, link: str) -> None:
        """It did not come by itself; the browser may have it, or gets it once the page is open."""
        files.ensure_private_dir(wanted.parent)
        places = (wanted, self._world.home / "Downloads" / "cert.pem")
        course.show(
            link=link,
            by_hand=(
                "Your browser may have downloaded the certificate as cert.pem.",
                f"Leave it in {places[1].parent}, or move it to {wanted}.",
                "It is noticed within a second. To begin anew: cancel, and sign in again.",
            ),
            expires_at=began + LIMIT + BY_HAND,
        )
        end = time.monotonic() + BY_HAND
        while time.monotonic() < end:
            course.check()
            for place in places:
                if self._whole(place, began):
                    self._take(place, wanted)
                    course.show()
                    return
            course.cancelled.wait(0.5)
        raise Problem(TOO_LATE)

    @staticmethod
    def _whole(place: Path, began: float) -> bool:
        """It came since the job began, and every byte of it."""
        try:
            if place.stat().st_mtime < began - 1:
                return False
            with place.open("rb") as file:
                origin_certificate.parse(file.read(MOST))
        except (OSError, Problem):
            return False
        return True

    @staticmethod
    def _take(place: Path, wanted: Path) -> None:
        if place != wanted:
            wanted.touch(mode=0o600)
            with place.open("rb") as file:  # the person's own download, of any mode
                wanted.write_bytes(file.read(MOST))
        wanted.chmod(0o600)

    def _keep(self, course: Course) -> str:
        world = self._world
        home = world.paths.zones.parent / "login"
        try:
            data = files.read_private(home / ".cloudflared" / "cert.pem", MOST)
        except FileNotFoundError:
            raise Problem(TOO_LATE) from None
        found = world.zones.add(data)
        shutil.rmtree(home, ignore_errors=True)
        course.check()
        return world.zones.name_of(found.zone_id) or "its name is not known"


TOO_LATE = Reason(
    code="login-expired",
    hop=Hop.EDGE,
    what="Nobody signed in at Cloudflare in time.",
    meaning="Nothing was changed.",
    cure="Try again, and choose the domain on Cloudflare's page.",
)
