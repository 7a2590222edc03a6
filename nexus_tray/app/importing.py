"""What an existing cloudflared of this user left, and how it is taken over: read, never changed.

Owns the look into `~/.cloudflared`: certificates of zones, credentials of tunnels, and the host
names that its configuration leads to them. Files are copied to places of ours; nothing is
written there. Runs on the caller's thread. YAML is read by PyYAML's safe loader, loaded only here.
"""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nexus_tray.app.handlers import Settle, names
from nexus_tray.app.zones import Zones
from nexus_tray.cloudflare import config_file, origin_certificate
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.paths import Paths
from nexus_tray.reports import Importable
from nexus_tray.settings import RouteSettings, TunnelSettings
from nexus_tray.store import files

MOST = 64 * 1024
MOST_FILES = 100
_CREDENTIALS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")
_ID = re.compile(r"[0-9a-f]{32}")


class _Credentials(msgspec.Struct):
    """What cloudflared writes when it makes a tunnel. The secret is not read."""

    AccountTag: str
    TunnelID: str
    TunnelSecret: str
    TunnelName: str = ""


@dataclass(frozen=True)
class _Found:
    """A tunnel's credentials, and what the configuration says of it."""

    path: Path
    data: bytes
    credentials: _Credentials
    hostnames: tuple[str, ...]


class Importing:
    """`folder`: the user's own `.cloudflared`."""

    def __init__(self, folder: Path, paths: Paths, settings: Settle, zones: Zones) -> None:
        self._folder = folder
        self._paths = paths
        self._settings = settings
        self._zones = zones

    def importable(self) -> tuple[Importable, ...]:
        """Everything there that could be taken over, and what of it cannot and why."""
        if not self._folder.is_dir():
            return ()
        found = [self._zone(path) for path in sorted(self._folder.glob("*.pem"))[:MOST_FILES]]
        others = sorted(self._folder.glob("*.json"))[:MOST_FILES]
        found += [self._tunnel(path) for path in others if _CREDENTIALS.fullmatch(path.name)]
        return tuple(found)

    def take_over(self, written: str) -> str:
        """Take over this file; says what came of it. Raises Problem; then nothing was changed."""
        path = _path(written)
        if path.suffix == ".json":
            return self._take_tunnel(path)
        found = self._zones.add(_read(path))
        name = self._zones.name_of(found.zone_id)
        return f"Tunnels can be made in {name or 'this zone'} now."

    def _zone(self, path: Path) -> Importable:
        try:
            found = origin_certificate.parse(_read(path))
        except Problem as problem:
            return Importable(path=str(path), kind="zone", name=path.name, reason=problem.reason)
        return Importable(path=str(path), kind="zone", name=path.name, zone_id=found.zone_id)

    def _tunnel(self, path: Path) -> Importable:
        try:
            found = self._look(path)
        except Problem as problem:
            return Importable(path=str(path), kind="named", name=path.name, reason=problem.reason)
        return Importable(
            path=str(path), kind="named", name=self._name(found),
            tunnel_id=found.credentials.TunnelID, zone_id=self._zone_of(found),
            hostnames=found.hostnames,
        )  # fmt: skip

    def _look(self, path: Path) -> _Found:
        data = _read(path)
        try:
            content = msgspec.json.decode(data, type=_Credentials)
        except msgspec.DecodeError as error:
            raise Problem(NOT_CREDENTIALS) from error
        if not _CREDENTIALS.fullmatch(f"{content.TunnelID}.json"):
            raise Problem(NOT_CREDENTIALS)
        if not _ID.fullmatch(content.AccountTag):
            raise Problem(NOT_CREDENTIALS)
        for tunnel in self._settings.read().settings.tunnels:
            if tunnel.tunnel_id == content.TunnelID:
                raise Problem(_known(tunnel.name))
        return _Found(path, data, content, self._hostnames(path.parent, content))

    def _take_tunnel(self, path: Path) -> str:
        found = self._look(path)
        name, content = self._name(found), found.credentials
        target = self._paths.credentials(content.TunnelID)
        files.ensure_private_dir(target.parent)
        files.write_atomic(target, found.data)
        tunnel = TunnelSettings(
            name=name, kind="named", tunnel_id=content.TunnelID, account_id=content.AccountTag,
            zone_id=self._zone_of(found), enabled=False,
            routes=tuple(RouteSettings(hostname=host) for host in found.hostnames),
        )  # fmt: skip
        now = self._settings.read()
        document = [msgspec.to_builtins(one) for one in (*now.settings.tunnels, tunnel)]
        self._settings.update({"tunnels": document}, now.etag)
        return (
            f"Tunnel “{name}” is here, and stopped. Stop the other cloudflared that runs it, then "
            f"start it here: its host names then lead to OpenCode, behind sign-in."
        )

    def _hostnames(self, folder: Path, content: _Credentials) -> tuple[str, ...]:
        """The host names that the configuration beside it leads to this tunnel."""
        for name in ("config.yml", "config.yaml"):
            path = folder / name
            if path.is_file():
                return tuple(_hosts(_read(path), (content.TunnelID, content.TunnelName)))
        return ()

    def _name(self, found: _Found) -> str:
        """A name of ours: the tunnel's own as far as it can be one, and free."""
        wished = found.credentials.TunnelName or found.credentials.TunnelID[:8]
        plain = re.sub(r"[^a-z0-9-]+", "-", wished.lower()).strip("-")[:28] or "tunnel"
        taken, name, number = names(self._settings.read().settings), plain, 2
        while name in taken:
            name, number = f"{plain}-{number}", number + 1
        return name

    def _zone_of(self, found: _Found) -> str:
        """The zone here to which its host names belong; empty where none is known."""
        for zone in self._zones.all():
            known = zone.name and zone.account_id == found.credentials.AccountTag
            if known and any(f".{host}".endswith(f".{zone.name}") for host in found.hostnames):
                return zone.id
        return ""


def _hosts(data: bytes, wanted: Sequence[str]) -> list[str]:
    """The host names of a configuration that is for one of these tunnels; bad ones left out."""
    import yaml

    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError:
        return []
    if not isinstance(document, dict) or str(document.get("tunnel", "")) not in wanted:
        return []
    rules = document.get("ingress")
    hosts = []
    for rule in rules if isinstance(rules, list) else []:
        host = rule.get("hostname") if isinstance(rule, dict) else None
        try:
            hosts.append(config_file.hostname(str(host or "").lower()))
        except Problem:
            continue
    return list(dict.fromkeys(hosts))


def _path(written: str) -> Path:
    """Raises Problem where it can be no file's."""
    if "\0" not in written:
        with contextlib.suppress(RuntimeError):  # `~name`, and nobody has that name
            return Path(written).expanduser()
    raise Problem(_unreadable(written, "there is no such place"))


# neither a link is followed nor a pipe waited for, where the system knows how
_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _mine(found: os.stat_result) -> bool:
    return sys.platform == "win32" or found.st_uid == os.geteuid()


def _read(path: Path) -> bytes:
    """A plain file of the user's own, however its mode is: it is his. Raises Problem."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _CAREFULLY)
    except OSError as error:
        raise Problem(_unreadable(path, error.strerror or str(error))) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not _mine(found):
        os.close(descriptor)
        raise Problem(_unreadable(path, "it is no file of yours"))
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MOST + 1)
    if len(data) > MOST:
        raise Problem(_unreadable(path, "it is too large to be one of cloudflared's"))
    return data


def _reason(code: str, what: str, cure: str = "") -> Reason:
    meaning = "Nothing was changed."
    return Reason(code=code, hop=Hop.CLOUDFLARED, what=what, meaning=meaning, cure=cure)


NOT_CREDENTIALS = _reason("not-credentials", "This file holds no tunnel's credentials.")


def _known(name: str) -> Reason:
    return _reason("tunnel-known", f"This tunnel is here already, as “{name}”.")


def _unreadable(path: Path | str, why: str) -> Reason:
    return _reason("import-unreadable", f"{path} could not be read: {why}.")
