"""The limits as the relay asks them: by list, by requests a second, by streams at once.

Owns the rules in force and the buckets behind them. Imports its own room, the gateway's nouns and
the relay's `Refused`. Runs on the gateway's event loop. The local door has no limits.
"""

from collections.abc import Callable

from nexus_tray.gateway.http import DoorKind, Principal, Request, Visitor
from nexus_tray.gateway.limits.buckets import BURST_SECONDS, Bucket, Crowd
from nexus_tray.gateway.limits.pacing import Lane, Pacers
from nexus_tray.gateway.limits.rules import Rules
from nexus_tray.gateway.limits.usage import Account, Accounts, Standing
from nexus_tray.gateway.relay.heads import Refused

MOST_COUNTRIES = 300
"""Seen ones that are remembered: there are fewer."""

RESERVE = 8
"""One part in so many of the places is kept from the streams of devices that have some already."""

FEW = 32
"""A device may have one in so many of those kept: enough for all 25 (store.accounts)."""


class TurnedAway(Refused):
    """Refused by a limit. `why` is what the visitor reads; `told` is for the owner's trail."""

    def __init__(self, status: int, why: str, told: str) -> None:
        super().__init__(status, why)
        self.told = told


def _too_many(told: str) -> TurnedAway:
    return TurnedAway(429, "Too many requests. Try again in a moment.", told)


class Limits:
    """What is in force now. `places`: connections at once that there are for everybody."""

    def __init__(self, places: int) -> None:
        reserve = places // RESERVE
        self._common = places - reserve
        self._few = max(1, reserve // FEW)
        self.accounts = Accounts()
        self.rules = Rules()
        self._crowd = Crowd(self.rules.settings.address_requests_per_second)
        self._paces = Pacers()
        self._paced = False
        self._countries: dict[str, None] = {}

    def adopt(self, rules: Rules, now_at: float) -> None:
        """Judge by these from now on. What was counted is counted anew where a rate changed."""
        before, now = self.rules.settings, rules.settings
        self.rules = rules
        if before.address_requests_per_second != now.address_requests_per_second:
            self._crowd = Crowd(now.address_requests_per_second)
        if before.requests_per_second != now.requests_per_second:
            self.accounts.forget_requests()

        self._paces.adopt(now.total_kilobytes_in, now.total_kilobytes_out, now_at)
        self._paced = any(
            (
                now.device_kilobytes_in,
                now.device_kilobytes_out,
                now.total_kilobytes_in,
                now.total_kilobytes_out,
            )
        )
        for account in self.accounts.all():
            account.paces.adopt(now.device_kilobytes_in, now.device_kilobytes_out, now_at)

    def pace(
        self,
        standing: Standing,
        request: Request,
        now: float,
        hold_in: Callable[[bool], None],
        hold_out: Callable[[bool], None],
    ) -> None:
        """Have an exchange or stream that goes on pass through the lanes of now."""
        if not self._paced or request.visitor.door.kind is DoorKind.LOCAL:
            standing.pace(None, None)
            return
        own = standing.account.paces
        settings = self.rules.settings
        if own.inward is None and own.outward is None:
            own.adopt(settings.device_kilobytes_in, settings.device_kilobytes_out, now)
        device = standing.account.id
        inward = tuple(pacer for pacer in (own.inward, self._paces.inward) if pacer is not None)
        outward = tuple(pacer for pacer in (own.outward, self._paces.outward) if pacer is not None)
        standing.pace(
            Lane(device, inward, hold_in) if inward else None,
            Lane(device, outward, hold_out, inward),
        )

    def countries(self) -> tuple[str, ...]:
        """From where visitors came since the start, as Cloudflare told."""
        return tuple(sorted(self._countries))

    def enter(self, visitor: Visitor) -> None:
        """Before anything of the request is answered. Raises TurnedAway with 403."""
        kind = visitor.door.kind
        if kind is DoorKind.LOCAL:
            return
        country = visitor.country
        if (
            country is not None
            and country not in self._countries
            and len(self._countries) < MOST_COUNTRIES
        ):
            self._countries[country] = None
        why = self.rules.judge(visitor.address, country, kind)
        if why is not None:
            raise TurnedAway(403, "Refused.", why)

    def ask(
        self, request: Request, principal: Principal | None, account: Account, now: float
    ) -> None:
        """One request, of this device or of a stranger. Raises TurnedAway with 429."""
        visitor = request.visitor
        if visitor.door.kind is DoorKind.LOCAL:
            return
        if principal is None:
            if not self._crowd.take(visitor.address, now):
                raise _too_many("more requests a second than one address may make")
            return
        rate = self.rules.settings.requests_per_second
        if not rate:
            return
        if account.requests is None:
            account.requests = Bucket(rate, rate * BURST_SECONDS, now)
        if not account.requests.take(now):
            raise _too_many(f"more requests a second than one device may make ({principal.name})")

    def stream(self, request: Request, principal: Principal, account: Account) -> None:
        """One exchange more of this device. Raises TurnedAway with 429. All devices together,
        each within its own limit, must leave room for who signs in, and for a device that has
        next to none (SECURITY.md 12)."""
        if request.visitor.door.kind is DoorKind.LOCAL:
            return
        most, has = self.rules.settings.streams, account.streams
        if most and has >= most:
            raise _too_many(f"more streams at once than one device may have ({principal.name})")
        if self.accounts.streams >= self._common and has >= self._few:
            raise _too_many(f"more streams at once than there is room for ({principal.name})")
