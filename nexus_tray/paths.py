"""Every directory and file name of ours, in one place.

Imports nothing of ours. `NEXUS_TRAY_HOME` puts everything under one folder (portable use,
tests); otherwise the platform's own places are used. Nothing is created here: who writes
a file makes its folder, 0700 (`store.files`).
"""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "nexus-tray"
# A Unix socket's path must fit 108 bytes with its NUL on Linux, 104 on macOS and the BSDs.
SOCKET_PATH_LIMIT = 100


@dataclass(frozen=True)
class Paths:
    """The four folders; everything else is a name below one of them."""

    config: Path
    data: Path
    run: Path
    tools: Path

    @property
    def config_file(self) -> Path:
        """The settings, `config.json`."""
        return self.config / "config.json"

    @property
    def database(self) -> Path:
        """Sign-in: password hash, sessions, audit. Small, precious, written durably."""
        return self.data / "nexus.db"

    @property
    def log_database(self) -> Path:
        """Logs. Apart from `database`: a flood or a torn log must not touch sign-in."""
        return self.data / "logs.db"

    @property
    def traffic_database(self) -> Path:
        """What passed, in minutes, for a week. Apart: its loss costs a chart and nothing else."""
        return self.data / "traffic.db"

    @property
    def secrets_file(self) -> Path:
        """Encrypted secrets, used only where the system has no keyring."""
        return self.data / "secrets.enc"

    @property
    def pause_file(self) -> Path:
        """There while remote access is paused: until when (`store.pause_file`)."""
        return self.data / "pause.json"

    @property
    def setup_file(self) -> Path:
        """How far the first start has come (`store.setup_file`)."""
        return self.data / "setup.json"

    @property
    def jobs_file(self) -> Path:
        """What takes long and is not over, so that it can be gone on with (`app.jobs`)."""
        return self.data / "jobs.json"

    @property
    def unfinished_file(self) -> Path:
        """OpenCode's sessions whose turn is not finished (`store.unfinished`)."""
        return self.data / "unfinished.json"

    @property
    def zones(self) -> Path:
        """One origin certificate of Cloudflare's for each zone, `<zone id>.pem`. Secret."""
        return self.data / "cloudflare" / "zones"

    def credentials(self, tunnel_id: str) -> Path:
        """The credentials of a tunnel that was made here. Secret."""
        return self.data / "cloudflare" / "tunnels" / f"{tunnel_id}.json"

    @property
    def tunnel_port_file(self) -> Path:
        """The loopback port to which a tunnel configured at Cloudflare may lead."""
        return self.data / "tunnel-port.json"

    @property
    def authority(self) -> Path:
        """The folder of the authority for the local network's door. Its key is secret."""
        return self.data / "authority"

    @property
    def lock(self) -> Path:
        """Held while an instance runs; the lock, not a pid, is the truth."""
        return self.run / "lock"

    @property
    def guards_file(self) -> Path:
        """The marks of this instance's guards, by which a later start finds what they left."""
        return self.run / "guards.json"

    @property
    def api_file(self) -> Path:
        """Address and token of the running instance's local API (JSON, 0600)."""
        return self.run / "api.json"

    @property
    def metrics_token(self) -> Path:
        """The token that opens `/metrics` and nothing else (0600), for Prometheus."""
        return self.run / "metrics-token"

    @property
    def metrics_target(self) -> Path:
        """Where `/metrics` is, in the form of Prometheus' file_sd_configs (JSON, 0600)."""
        return self.run / "metrics-target.json"

    @property
    def pages_file(self) -> Path:
        """The open dashboard pages of this guard's life, as hashes (JSON, 0600)."""
        return self.run / "pages.json"

    @property
    def tunnel_socket(self) -> Path:
        """The gateway's Unix socket for tunnels; stable, short enough for any platform."""
        path = self.run / "gateway.sock"
        if len(bytes(path)) < SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(bytes(self.run)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"{APP}-{digest}" / "gateway.sock"

    def tunnel(self, name: str) -> Path:
        """A tunnel's own folder: cloudflared's configuration, nothing secret."""
        return self.run / "tunnels" / name


def find(environment: Mapping[str, str]) -> Paths:
    """The folders for this user, from the environment of the process."""
    home = environment.get("NEXUS_TRAY_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Paths(
            config=root / "config", data=root / "data", run=root / "run", tools=root / "tools"
        )
    dirs = platformdirs.PlatformDirs(APP, appauthor=False)
    data = Path(dirs.user_data_dir)
    return Paths(
        config=Path(dirs.user_config_dir), data=data, run=data / "run", tools=data / "tools"
    )
