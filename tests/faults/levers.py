"""Three tunnels over one lab, a quick, a named and a token tunnel, and a row of the table.

`Row` says what is pulled, what each tunnel must show then, and what becomes of it after. The
table itself is tests/faults/test_levers.py.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from nexus_tray.core.driver import Restart
from nexus_tray.core.machine import Policy
from nexus_tray.gateway.routes import OPENCODE_ONLY
from nexus_tray.model import Service, ServiceState
from nexus_tray.services.address_watch import Times
from nexus_tray.services.cloudflared import TunnelDriver
from nexus_tray.services.cloudflared_watch import Limits
from tests.cloudflare.lab import Lab, until
from tests.cloudflare.path import TUNNEL, Path
from tests.services.test_cloudflared_known import by_token, named

S = ServiceState
KINDS = ("quick", "named", "token")
HOSTS = {"named": "code.lab.example", "token": "www.lab.example"}
QUICKLY = Policy(probe_running=0.2, backoff_first=0.1)
SHORT = Times(often=0.6, failing=0.3, hurry=0.3, rest=3.0, fresh=0.5, settle=0.5, gone=5, again=3.0)
LIMITS = Limits(fallback=4.0)


@dataclass(frozen=True)
class See:
    """What a tunnel shows within `within` seconds: that state, for one of these reasons.
    `waits`: it is left alone for at least so many seconds."""

    state: ServiceState
    codes: str
    within: float = 15.0
    waits: float = 0.0


@dataclass(frozen=True)
class Row:
    """`pull`: the lever; `at_start`: the tunnels start anew under it. `sees`: by kind; a kind that
    is not named is not disturbed. `during`: what a visitor meets while it is pulled. `back`: after
    the release, every tunnel runs again and is proved, within so many seconds; `by_hand`: whoever
    is left alone is started by the person. `stays`: kinds that keep their process.
    `ends`: there is no way back; `spoils`: it taught them something about the network."""

    name: str
    pull: Callable[["House"], object]
    sees: Mapping[str, See] = field(default_factory=dict)
    transport: str = "http2"
    at_start: bool = False
    during: Callable[["House"], None] | None = None
    release: Callable[["House"], object] | None = None
    back: float = 20.0
    by_hand: bool = False
    stays: tuple[str, ...] = KINDS
    ends: bool = False
    spoils: bool = False
    levers: tuple[str, ...] = ()


class House:
    """The three tunnels, each with gateway and supervisor of its own."""

    def __init__(self, lab: Lab, program: FilePath, transport: str) -> None:
        self.lab = lab
        lab.reset()
        self.folder = FilePath(tempfile.mkdtemp(prefix="nx-levers-"))
        self.paths: dict[str, Path] = {}
        self.ids: dict[str, str] = {}
        for kind in KINDS:
            folder = self.folder / kind
            folder.mkdir(mode=0o700)
            self.paths[kind] = path = Path(lab, program, folder)
            path.times = SHORT
            path.stable = kind != "quick"
            path.gateway.set_routes({TUNNEL: OPENCODE_ONLY})
            path.supervise(self._driver(kind, path, transport), QUICKLY)
        for kind in KINDS:
            self.proved(kind, 30)

    def _driver(self, kind: str, path: Path, transport: str) -> TunnelDriver:
        if kind == "quick":
            return path.driver(transport, limits=LIMITS)
        host = HOSTS[kind]
        made = self.lab.make_tunnel(host, remote=kind == "token")
        self.ids[kind] = made["id"]
        if kind == "token":
            path.gateway.start()
            service = f"http://127.0.0.1:{path.gateway.tunnel_port()}"
            self.lab.configure(made["id"], (host, service), ("", "http_status:404"))
        identity = by_token(made) if kind == "token" else named(path, made)
        return path.driver(transport, limits=LIMITS, identity=identity, routes=lambda: (host,))

    def now(self, kind: str) -> Service:
        service = self.paths[kind].tunnel
        assert service is not None
        return service

    def host(self, kind: str) -> str:
        return (self.now(kind).facts.address or "").removeprefix("https://")

    def visit(
        self, kind: str, path: str = "/_nexus/nothing", method: str = "GET", **more: str
    ) -> int:
        return self.lab.visit(self.host(kind), path, method, **more)[0]

    def proved(self, kind: str, seconds: float, since: float = 0.0) -> Service:
        """Runs, and its address was proved after `since`."""
        return self.paths[kind].until(
            lambda s: (
                s.state is S.RUNNING and s.facts.address and (s.facts.proved_at or 0) >= since
            ),
            f"{kind}: running and proved; it is {self.paths[kind].tunnel}",
            seconds,
        )

    def restart(self, *kinds: str) -> None:
        for kind in kinds:
            self.paths[kind].supervisor.post(TUNNEL, Restart())

    def shown(self, kind: str, since: int) -> list[tuple[ServiceState, str]]:
        """What it showed, of the snapshots from `since` on."""
        found = (s.service(TUNNEL) for s in self.paths[kind].journal.published[since:])
        return [(s.state, s.reason.code if s.reason else "") for s in found if s is not None]

    def mark(self) -> dict[str, int]:
        return {kind: len(path.journal.published) for kind, path in self.paths.items()}

    def reset(self) -> None:
        self.lab.reset()
        self.lab.call("POST", "/edge/freeze", {"seconds": 0})

    def close(self) -> None:
        self.reset()
        for path in self.paths.values():
            path.close()
        shutil.rmtree(self.folder)


def play(house: House, row: Row) -> dict[str, str]:
    """Pull, look, release, look. Says what was seen and after how many seconds."""
    before = {kind: house.now(kind) for kind in KINDS}
    marks, began, said = house.mark(), time.monotonic(), dict.fromkeys(KINDS, "not disturbed")
    row.pull(house)
    if row.at_start:
        house.restart(*(row.sees or KINDS))
    for kind, see in row.sees.items():
        _look(house, kind, see, marks[kind], row.name)
        said[kind] = f"{see.state} after {time.monotonic() - began:.1f} s"
    if row.during:
        row.during(house)
    if row.ends:
        return said
    (row.release or House.reset)(house)
    released, since = time.monotonic(), time.time()
    if row.by_hand:
        house.restart(*row.sees)
    for kind in KINDS:
        service = house.proved(kind, row.back, since)
        said[kind] += f"; back {time.monotonic() - released:.1f} s"
        _well_again(house, row, kind, before[kind], service, marks[kind])
    return said


def _look(house: House, kind: str, see: See, since: int, name: str) -> None:
    """It shows that, and for a good reason is left alone so long."""

    def seen() -> bool:
        shown = house.shown(kind, since)
        return any(state is see.state and code in see.codes.split(" ") for state, code in shown)

    try:
        until(seen, f"{name}, {kind}: {see}", see.within)
    except AssertionError as error:
        told = list(dict.fromkeys(house.shown(kind, since)))
        raise AssertionError(f"{error}; it showed {told}") from None
    if see.waits:
        service = house.now(kind)
        assert service.state is S.BACKOFF, service
        assert service.next_try_at is not None
        assert service.next_try_at - time.time() > see.waits
        assert service.reason is not None
        assert service.reason.cure


def _well_again(
    house: House, row: Row, kind: str, before: Service, now: Service, since: int
) -> None:
    """Visitors arrive, at the same address where it can be kept, in the same process."""
    assert house.visit(kind) == 200
    begun_anew = row.at_start and kind in (row.sees or KINDS)
    if kind != "quick" or (kind in row.stays and not begun_anew):
        assert now.facts.address == before.facts.address
    if kind in row.stays and not begun_anew:
        assert now.facts.pid == before.facts.pid, kind
    if kind not in row.sees and not row.at_start:
        bad = {state for state, _ in house.shown(kind, since)} - {S.RUNNING, S.DEGRADED}
        assert not bad, (kind, bad)
