"""The zones that were signed in to: their certificates here, and their names.

Owns the files `zones/<zone id>.pem` (0600; secret) and what is remembered of each zone's name.
Reading blocks on the disk, a name the first time on Cloudflare's API. Any thread.
"""

import re
import threading
from pathlib import Path

from nexus_tray.cloudflare import origin_certificate
from nexus_tray.cloudflare.origin_certificate import OriginCertificate
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import Zone
from nexus_tray.services.cloudflare_api import BASE, Api, NotAllowed
from nexus_tray.store import files

MOST = 64 * 1024
_ID = re.compile(r"[0-9a-f]{32}")


class Zones:
    """All of them. `api_base`: Cloudflare's, or the lab's in tests."""

    def __init__(self, paths: Paths, api_base: str = BASE) -> None:
        self._folder = paths.zones
        self._base = api_base
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}

    def all(self) -> tuple[Zone, ...]:
        """Every zone, in the order of their ids. One that cannot be read says why."""
        if not self._folder.is_dir():
            return ()
        return tuple(self._zone(path) for path in sorted(self._folder.glob("*.pem")))

    def add(self, data: bytes) -> OriginCertificate:
        """Keep a certificate; an earlier one of the same zone is replaced. Raises Problem."""
        found = origin_certificate.parse(data)
        files.ensure_private_dir(self._folder)
        files.write_atomic(self._path(found.zone_id), data)
        return found

    def forget(self, zone_id: str) -> None:
        """Delete a certificate here. Raises Problem when there is none."""
        try:
            self._path(zone_id).unlink()
        except FileNotFoundError:
            raise Problem(_none(zone_id)) from None

    def certificate(self, zone_id: str) -> Path:
        """The file, readable and whole. Raises Problem."""
        self.read(zone_id)
        return self._path(zone_id)

    def read(self, zone_id: str) -> OriginCertificate:
        """What the file says. Raises Problem."""
        try:
            return origin_certificate.parse(files.read_private(self._path(zone_id), MOST))
        except FileNotFoundError:
            raise Problem(_none(zone_id)) from None

    def api(self, zone_id: str) -> Api:
        """Cloudflare's API with its certificate. Raises Problem."""
        return Api(self.read(zone_id), self._base)

    def api_of(self, account_id: str) -> Api | None:
        """Cloudflare's API with any certificate of that account; None: there is none here."""
        for path in sorted(self._folder.glob("*.pem")):
            try:
                found = self.read(path.stem)
            except Problem:  # said where the zones are shown
                continue
            if account_id and found.account_id == account_id:
                return Api(found, self._base)
        return None

    def only(self) -> str:
        """The one zone there is. Raises Problem when there is none, or several."""
        found = list(self._folder.glob("*.pem"))
        if len(found) != 1:
            raise Problem(NO_ZONE if not found else SEVERAL)
        return found[0].stem

    def name_of(self, zone_id: str) -> str | None:
        """The domain; None where Cloudflare does not tell. Raises Problem without a certificate."""
        with self._lock:
            known = self._names.get(zone_id)
        if known is None:
            api = self.api(zone_id)
            try:
                known = api.zone_name()
            except (NotAllowed, Problem):
                return None
            with self._lock:
                self._names[zone_id] = known
        return known

    def _zone(self, path: Path) -> Zone:
        try:
            found, name = self.read(path.stem), self.name_of(path.stem)
            signed_in = path.stat().st_mtime
        except Problem as problem:
            return Zone(id=path.stem, account_id="", reason=problem.reason)
        except OSError:  # it is being forgotten just now
            return Zone(id=path.stem, account_id="")
        return Zone(
            id=found.zone_id, account_id=found.account_id, name=name, signed_in_at=signed_in
        )

    def _path(self, zone_id: str) -> Path:
        if not _ID.fullmatch(zone_id):
            raise Problem(_none(zone_id))
        return self._folder / f"{zone_id}.pem"


def _none(zone_id: str) -> Reason:
    return Reason(
        code="no-such-zone",
        hop=Hop.EDGE,
        what=f"There is no certificate here for the zone {zone_id or '(none named)'}.",
        cure="Sign in at Cloudflare for its domain: nexus-tray tunnel login",
    )


NO_ZONE = Reason(
    code="no-zone",
    hop=Hop.EDGE,
    what="Nobody has signed in at Cloudflare here yet.",
    meaning="A named tunnel needs a domain of yours there.",
    cure="Sign in first: nexus-tray tunnel login",
)
SEVERAL = Reason(
    code="zone-unclear",
    hop=Hop.EDGE,
    what="There are several domains; it is not said which one is meant.",
    cure="Name one: nexus-tray tunnel zones lists them.",
)
