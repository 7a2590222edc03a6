"""The site's world for tests: real database, real sessions, clocks that tests turn."""

from dataclasses import dataclass, field
from pathlib import Path

from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import Door, DoorKind, Request, Visitor
from nexus_tray.gateway.signin.passwords import Passwords
from nexus_tray.gateway.signin.reference_clock import ReferenceClock
from nexus_tray.gateway.signin.sessions import Sessions
from nexus_tray.store.accounts import Accounts
from nexus_tray.store.api_tokens import ApiTokens
from nexus_tray.store.audit import Audit
from nexus_tray.store.database import Database, open_database
from nexus_tray.store.pairings import Pairings
from nexus_tray.store.passkeys import Passkeys
from nexus_tray.store.second_factor import SecondFactorStore

PASSWORD = "blue lamp over the river"
HOST = "calm-river-stone.trycloudflare.com"
TUNNEL = Door(DoorKind.TUNNEL, "quick", holds_events=True)
LOCAL = Door(DoorKind.LOCAL, "local", secure=False)
PHONE = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile Safari"


@dataclass
class Clock:
    """A time that moves when told."""

    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Vault:
    """Everything below the site, on a real database. `secrets` stands for the keyring."""

    database: Database
    audit: Audit
    passwords: Passwords
    accounts: Accounts
    sessions: Sessions
    wall: Clock
    monotonic: Clock
    reference: ReferenceClock
    pairings: Pairings
    factor: SecondFactorStore
    tokens: ApiTokens
    passkeys: Passkeys
    cut: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def close(self) -> None:
        self.passwords.close()
        self.database.close()

    def events(self) -> list[tuple[str, str, str, str]]:
        """The audit, oldest first: event, who, address, outcome."""
        rows = reversed(self.audit.newest(1000))
        return [(str(row.event), row.who, row.address, row.outcome) for row in rows]


def open_vault(
    folder: Path, passwords: Passwords | None = None, now: float = 1_795_000_000.0
) -> Vault:
    """A vault in a folder, its wall clock at `now`; cheap hashing unless told otherwise."""
    wall, monotonic = Clock(now), Clock(5_000.0)
    passwords = passwords or Passwords(memory_kib=64, passes=1, lanes=1)
    database = open_database(folder / "nexus.db", wall())
    audit = Audit(database, wall)
    accounts = Accounts(database, audit, passwords.make_hash, wall)
    cut: list[str] = []
    reference = ReferenceClock(wall, monotonic)
    sessions = Sessions(accounts, audit, cut.append, wall, monotonic, reference)
    pairings = Pairings(database, audit, wall)
    factor = SecondFactorStore(database, audit, wall)
    return Vault(
        database, audit, passwords, accounts, sessions, wall, monotonic, reference, pairings,
        factor, ApiTokens(database, audit, wall), Passkeys(database, audit, wall), cut,
    )  # fmt: skip


def visitor(address: str = "192.0.2.1", host: str = HOST, door: Door = TUNNEL) -> Visitor:
    scheme = "https" if door.secure else "http"
    return Visitor(door=door, address=address, host=host, origin=f"{scheme}://{host}")


def local_visitor(host: str = "127.0.0.1:4100") -> Visitor:
    return visitor("local", host, LOCAL)


def request(
    path: str = "/",
    method: str = "GET",
    *,
    who: Visitor | None = None,
    cookie: str | None = None,
    body: bytes = b"",
    headers: Headers = (),
    query: str = "",
) -> Request:
    """A request as the relay hands it over; POST brings our Origin and a form's type."""
    who = who or visitor()
    fields = list(headers)
    if cookie is not None:
        fields.append((b"cookie", cookie.encode()))
    if method == "POST":
        fields.append((b"origin", who.origin.encode()))
        fields.append((b"content-type", b"application/x-www-form-urlencoded"))
    return Request(method, path, query, tuple(fields), who, body)


def cookie_of(set_cookie: str) -> str:
    """What a browser sends back for a Set-Cookie value."""
    return set_cookie.split(";", 1)[0]
