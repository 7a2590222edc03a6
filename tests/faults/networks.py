"""The product in one network, Cloudflare's lab in another, and a bad cable between them.

Owns `Cable`, the test's hand on tests/faults/wire.py, and `Elsewhere`: the lab under the real
host names (its own DNS, port 443), and the whole program as a person runs it, which finds
Cloudflare by those names and knows nothing of a lab. Needs Linux, user namespaces and `ip`;
`missing()` says what a machine lacks.
"""

import functools
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nexus_tray.model import Service, ServiceState, Snapshot
from tests.cloudflare.lab import STANDIN, Lab, real_cloudflared
from tests.e2e.program import ROOT, Program
from tests.faults.wire import CABLE

NETWORK = "10.77.0"
"""Cloudflare's, as the lab has it."""
HOME = ("10.77.1.2/24", "10.77.1.1")
HOTEL = ("10.77.2.2/24", "10.77.2.1")
"""Networks in which the product may be: its address, and the router's."""
RESOLVERS = ("1.1.1.1", "8.8.8.8")
NOBODY = f"{NETWORK}.14"
"""An address at Cloudflare's end at which nothing listens."""
PASSWORD = "a long walk by the river"
TUNNEL = "quick"


@functools.cache
def missing() -> str:
    """What this machine lacks for networks of our own; empty: nothing."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if shutil.which("ip") is None:
        return "`ip` is missing (Debian's iproute2)"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun may not be opened"
    tried = subprocess.run(
        ["unshare", "-Urmn", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        return ""
    hint = "sysctl kernel.apparmor_restrict_unprivileged_userns=0 may allow them"
    return f"user namespaces are not allowed here ({tried.stderr.strip()}; {hint})"


class Cable:
    """Two networks; `change` makes the cable between them bad, `near` and `far` enter them."""

    def __init__(self, resolver: Path) -> None:
        told = {
            "near": [HOME[0]],
            "gateway": HOME[1],
            "far": [f"{HOME[1]}/24", f"{HOTEL[1]}/24"],
            "far_own": [*(f"{NETWORK}.{n}" for n in range(1, 15)), *RESOLVERS],
            "resolver": str(resolver),
        }
        self._process = subprocess.Popen(
            ["unshare", "-Ur", sys.executable, str(Path(__file__).with_name("wire.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pids = self._say(told)
        self.at = HOME

    def _say(self, words: dict[str, Any]) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer

    def change(self, **changes: object) -> dict[str, int]:
        """Make it so, see `wire.Cable`; what it carried until now."""
        return self._say(changes)

    def inside(self, side: str, folder: Path = ROOT) -> list[str]:
        """What runs a command there."""
        into = ["nsenter", "-t", str(self._pids[side]), "-U", "-m", "-n", "--preserve-credentials"]
        return [*into, "env", "-C", str(folder)]

    def near(self, *command: str) -> str:
        """Run a command at the product's end."""
        done = subprocess.run(
            [*self.inside("near"), *command], capture_output=True, text=True, check=True
        )
        return done.stdout

    def move(self, to: tuple[str, str]) -> None:
        """Go to another network, as with a cable that is put into another wall."""
        address, router = self.at = to
        self.near("ip", "addr", "flush", "dev", CABLE)
        self.near("ip", "addr", "add", address, "dev", CABLE)
        self.near("ip", "route", "replace", "default", "via", router)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class FarLab(Lab):
    """The lab in its own network; asked over its Unix sockets."""

    def _line(self, base: str) -> http.client.HTTPConnection:
        line = http.client.HTTPConnection("lab", timeout=30)
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.settimeout(30)
        [name] = [name for name in ("control", "front", "api_url") if self.info[name] == base]
        line.sock.connect(str(self.folder / f"{name}.sock"))
        return line


class Elsewhere:
    """Everything: the cable, the lab at its far end, the program at its near end."""

    def __init__(self, folder: Path, *tunnels: dict[str, str]) -> None:
        self.folder = folder
        resolver = folder / "resolv.conf"
        resolver.write_text(f"nameserver {NETWORK}.13\noptions timeout:1 attempts:2\n")
        self.cable = Cable(resolver)
        lab_folder = folder / "lab"
        lab_folder.mkdir(mode=0o700)
        self.lab = FarLab(
            lab_folder,
            self.cable.inside("far", ROOT / "tests" / "cloudflare_lab"),
            ["--network", NETWORK, "--whole", "--sockets", "--doh", *RESOLVERS],
        )
        # the only thing the program is told: whom to believe
        trust = {"SSL_CERT_FILE": str(lab_folder / "ca.pem")}
        self.program = Program(folder / "home", folder, trust)
        self.program.prefix = self.cable.inside("near", folder)
        self.program.configure(
            {
                "opencode": {"enabled": False},  # the gateway answers without it
                "cloudflared": {"program": str(real_cloudflared() or self._standin())},
                **({"tunnels": tunnels} if tunnels else {}),
            }
        )

    def _standin(self) -> Path:
        """The stand-in asks for what the real one finds by itself: who is believed."""
        wrapper = self.folder / "cloudflared"
        wrapper.write_text(
            "#!/bin/sh\n"
            f'export TUNNEL_CACERT="{self.lab.folder}/ca.pem"\n'
            'if [ "$1" = tunnel ]; then shift\n'
            'set -- tunnel --quick-service http://api.trycloudflare.com "$@"; fi\n'
            f'exec "{STANDIN}" "$@"\n'
        )
        wrapper.chmod(0o700)
        return wrapper

    def begin(self) -> None:
        """Start the program, with a password, so that the tunnels may run."""
        self.program.start()
        self.cli("password", "set", given=PASSWORD + "\n")

    def cli(self, *arguments: str, given: str = "") -> str:
        done = self.program.cli(*arguments, given=given)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def add_token_tunnel(self, name: str, hostname: str) -> None:
        """A tunnel that has its address for good, led to OpenCode."""
        self.cli("secret", "unlock", given=PASSWORD + "\n")  # there is no keyring
        made = self.lab.make_tunnel(hostname, remote=True)
        self.lab.configure(
            made["id"], (hostname, f"unix:{self.program.paths.tunnel_socket}"),
            ("", "http_status:404"),
        )  # fmt: skip
        self.cli(
            "tunnel", "create", name, "--kind", "token", "--host", hostname, given=made["token"]
        )

    def well(self) -> None:
        """A good cable, and a lab without faults."""
        self.cable.change(cut=False, loss=0.0, delay=0.0, jitter=0.0, twice=0.0, no_udp=[])
        self.lab.reset()

    def tunnel(self, name: str = TUNNEL) -> Service:
        service = self.program.snapshot().service(name)
        assert service is not None
        return service

    def until(
        self, ready: Callable[[Service], object], what: str, seconds: float, name: str = TUNNEL
    ) -> Service:
        """The tunnel once it is so."""

        def so(snapshot: Snapshot) -> object:
            service = snapshot.service(name)
            return service is not None and ready(service)

        try:
            found = self.program.wait_for(so, seconds, f"{name}: {what}").service(name)
        except AssertionError as error:
            tale = "\n".join(line[:200] for line in self.told()[-40:])
            raise AssertionError(f"{name}: {what}; {self.tunnel(name)}\n{tale}") from error
        assert found is not None
        return found

    def proved(self, seconds: float, since: float | None = None, name: str = TUNNEL) -> Service:
        """The tunnel runs, and its address was proved after `since` (now)."""
        after = time.time() if since is None else since
        return self.until(
            lambda s: (
                s.state is ServiceState.RUNNING
                and s.facts.address
                and (s.facts.proved_at or 0.0) >= after
            ),
            "runs and is proved",
            seconds,
            name,
        )

    def visit(self, service: Service, path: str = "/") -> int:
        """What a visitor of the public address gets."""
        host = (service.facts.address or "").removeprefix("https://")
        return self.lab.visit(host, path)[0]

    def told(self) -> list[str]:
        """What the program wrote into its log."""
        return self.cli("logs", "--lines", "1000").splitlines()

    def close(self) -> None:
        try:
            self.cable.change(cut=False)
            self.program.stop()
            self.lab.close()
        finally:
            self.cable.close()
