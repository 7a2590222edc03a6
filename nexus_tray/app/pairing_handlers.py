"""Pairing links and the names of devices: what a front end asks for.

Owns which addresses a link may lead to. Runs on the caller's thread; everything called here is made
for any thread.
"""

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from nexus_tray import commands
from nexus_tray.app.access_handlers import NO_SUCH_DEVICE
from nexus_tray.app.step_up import StepUp
from nexus_tray.core.local_backend import Handler
from nexus_tray.inert import inert
from nexus_tray.model import Hop, Problem, Reason, ServiceKind, Snapshot
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.pairings import Pairings

LONGEST_NAME = 64


class PairingHandlers:
    """The commands about pairing, carried out. The stores raise Problem while sign-in is not
    available; `more` are further addresses of OpenCode's than the Snapshot shows."""

    def __init__(
        self,
        step_up: StepUp,
        accounts: Callable[[], Accounts],
        pairings: Callable[[], Pairings],
        snapshot: Callable[[], Snapshot],
        more: Callable[[], Iterable[str]],
    ) -> None:
        self._step_up = step_up
        self._accounts = accounts
        self._pairings = pairings
        self._snapshot = snapshot
        self._more = more

    def table(self) -> dict[type[commands.AnyCommand], Handler]:
        """Which handler is whose."""
        return {
            commands.NewPairing: self._new,
            commands.EndPairings: lambda _: self._pairings().end_all(),
            commands.RenameDevice: self._rename,
        }

    def _new(self, command: commands.NewPairing) -> str:
        address = _chosen(command.address, addresses(self._snapshot(), self._more()))
        password_id = self._step_up.require(command.current)
        host = urlsplit(address).netloc
        name = plain(command.name) if command.name.strip() else ""
        token = self._pairings().make(host, name, password_id)
        return f"{address}/_nexus/pair#{token}"

    def _rename(self, command: commands.RenameDevice) -> None:
        if not self._accounts().rename(command.id, plain(command.name)):
            raise Problem(NO_SUCH_DEVICE)


def addresses(snapshot: Snapshot, more: Iterable[str]) -> tuple[str, ...]:
    """Where a phone can come now, the public one first; `more` are others of ours."""
    tunnels = [one for one in snapshot.services if one.kind is ServiceKind.TUNNEL]
    found = (snapshot.address, *(one.facts.address for one in tunnels), *more)
    return tuple(dict.fromkeys(one for one in found if one))


def plain(name: str) -> str:
    """A device's name as it is kept. Raises Problem where nothing is left of it."""
    kept = inert(" ".join(name.split()))[:LONGEST_NAME]
    if not kept:
        raise Problem(NO_NAME)
    return kept


def _chosen(wished: str, ours: Iterable[str]) -> str:
    known = tuple(ours)
    if not known:
        raise Problem(NOWHERE)
    if not wished:
        return known[0]
    if wished.rstrip("/") not in known:
        listed = ", ".join(known)
        cure = f"One of these: {listed}"
        what = "That is no address of this computer's."
        raise Problem(Reason(code="pairing-address", hop=Hop.DEVICE, what=what, cure=cure))
    return wished.rstrip("/")


NOWHERE = Reason(
    code="pairing-nowhere",
    hop=Hop.DEVICE,
    what="There is no address by which a phone could come.",
    meaning="No tunnel is up, and the door for the local network is shut.",
    cure="Start a tunnel (nexus-tray status says how it stands), then pair.",
)
NO_NAME = Reason(
    code="device-name",
    hop=Hop.DEVICE,
    what="A device needs a name.",
    cure="Give it one of 1 to 64 characters.",
)
