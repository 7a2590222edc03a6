"""What the routes take: parameters and bodies, as types.

Owns the bounds of what comes in over HTTP, for any store behind Backend. Values only;
imports layer 1 and its own room. Their names and docstrings stand in the OpenAPI document.
"""

from typing import Annotated, Literal

import msgspec

from nexus_tray.api.export import Format
from nexus_tray.api.routes import Query
from nexus_tray.model import Desired, LogQuery, Value
from nexus_tray.reports import TrafficQuery
from nexus_tray.settings import RouteSettings

LONGEST_WAIT = 60.0
"""Seconds: the longest `timeout` of a long poll."""

Timeout = Annotated[float, msgspec.Meta(ge=0.0, le=LONGEST_WAIT)]
LogId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class JournalQuery(Query, frozen=True):
    """`since`: a cursor as `boot:id` (none: from the Snapshot on); `timeout`: seconds to wait."""

    since: str = ""
    timeout: Timeout = 0.0


class Filters(LogQuery, frozen=True):
    """LogQuery's filters, with bounds that any store can bear (ids are SQLite's, 64 bits)."""

    before: LogId | None = None
    after: LogId | None = None
    limit: Limit = 200


class LogsQuery(Filters, frozen=True):
    """LogQuery's filters; `timeout`: seconds to wait for a first line after `after`."""

    timeout: Timeout = 0.0


class StreamQuery(Filters, frozen=True):
    """LogQuery's filters: begins with the newest `limit` lines, or behind `after`."""


class ExportQuery(Filters, frozen=True):
    """LogQuery's filters, without a limit; `format`: `text`, `csv` or `jsonl`."""

    format: Format = Format.TEXT


class TrafficParameters(TrafficQuery, frozen=True):
    """The last `seconds` of traffic, in at most `points` steps; of one `tunnel`, or of all."""


class Wish(Value, frozen=True):
    """What is wished of a service."""

    desired: Desired


class Password(Value, frozen=True):
    """The password for remote access; `current`: the one before, if there is one."""

    password: str
    current: str = ""


class CurrentPassword(Value, frozen=True):
    """The password, asked for again before something that changes sign-in."""

    current: str


class Code(Value, frozen=True):
    """A one-time code of the authenticator."""

    code: str


class NewPairingLink(Value, frozen=True):
    """A pairing link to make; see the command NewPairing."""

    current: str
    address: str = ""
    name: str = ""


class NewToken(Value, frozen=True):
    """An API token to make; see the command CreateToken."""

    current: str
    name: str
    scope: Literal["full", "read"] = "full"
    days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30


class DeviceName(Value, frozen=True):
    """What a device is to be called."""

    name: str


class NewOpenCodeSession(Value, frozen=True):
    """The first prompt of a session, and in which folder (empty: the default one)."""

    text: str
    directory: str = ""


class Prompt(Value, frozen=True):
    """What is said in a session; empty: go on with what was interrupted."""

    text: str = ""


class Place(Value, frozen=True):
    """Where a ticket leads: a path of the gateway's local door."""

    path: str = "/"


class DashboardPlace(Value, frozen=True):
    """Where a ticket leads: a page of the dashboard, such as `/logs`."""

    page: str = "/"


class Ticket(Value, frozen=True):
    """A one-time ticket."""

    ticket: str


class PermissionReply(Value, frozen=True):
    """`once`, `always` or `reject`."""

    reply: str


class QuestionReply(Value, frozen=True):
    """One list of chosen labels per part of the question; an empty list rejects."""

    answers: tuple[tuple[str, ...], ...]


class Switch(Value, frozen=True):
    """On or off."""

    enabled: bool


class Secret(Value, frozen=True):
    """A provider key."""

    secret: str


class Passphrase(Value, frozen=True):
    """What opens the encrypted secrets file."""

    passphrase: str


class PauseUntil(Value, frozen=True):
    """When a pause ends: epoch seconds; null: when it is ended by hand."""

    until_at: float | None = None


class NewTunnel(Value, frozen=True):
    """A tunnel to make; see the command CreateTunnel."""

    name: str
    kind: Literal["quick", "named", "token"] = "quick"
    zone_id: str = ""
    token: str = ""
    routes: tuple[RouteSettings, ...] = ()


class Deletion(Query, frozen=True):
    """`only_here`: leave what is at Cloudflare as it is."""

    only_here: bool = False


class Routes(Value, frozen=True):
    """A tunnel's routes, in their order."""

    routes: tuple[RouteSettings, ...]


class Token(Value, frozen=True):
    """A tunnel's token, or the whole line for installing it."""

    token: str


class ImportPlace(Value, frozen=True):
    """What to take over: a path that was found."""

    path: str


class YesOrNo(Value, frozen=True):
    """The answer to a job's question."""

    yes: bool
