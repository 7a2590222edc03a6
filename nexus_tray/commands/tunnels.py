"""Tunnels, and the jobs that change them."""

from typing import Literal

from nexus_tray.commands.base import Command
from nexus_tray.settings import RouteSettings


class CreateTunnel(Command, frozen=True):
    """Make a tunnel. The outcome's value is the job's id.

    `quick`: nothing else is needed. `named`: `zone_id` says with which certificate (empty: the
    only one), `routes` which host names are led to it. `token`: `token` is the token, or the whole
    line that Cloudflare shows for installing it.
    """

    name: str
    kind: Literal["quick", "named", "token"] = "quick"
    zone_id: str = ""
    token: str = ""
    routes: tuple[RouteSettings, ...] = ()


class DeleteTunnel(Command, frozen=True):
    """Delete a tunnel: here, and what we made at Cloudflare, unless `only_here`.

    The outcome's value is the job's id.
    """

    name: str
    only_here: bool = False


class SetRoutes(Command, frozen=True):
    """Give a tunnel these routes, in this order.

    Host names that are new to a named tunnel are led to it at Cloudflare; the outcome's value
    is then the job's id, else empty.
    """

    name: str
    routes: tuple[RouteSettings, ...]


class SetTunnelToken(Command, frozen=True):
    """Give a token tunnel another token of the same tunnel."""

    name: str
    token: str


class Login(Command, frozen=True):
    """Sign in at Cloudflare, to get the certificate for one zone. The outcome's value is the
    job's id; the job has the link to open."""


class ForgetZone(Command, frozen=True):
    """Delete a zone's certificate here. Tunnels go on; nothing can be made in it any more."""

    zone_id: str


class ImportTunnel(Command, frozen=True):
    """Take over what `Backend.importable` found at `path`: read, never changed. The outcome's
    value says what came of it."""

    path: str


class AnswerJob(Command, frozen=True):
    """Answer the question that a job waits with."""

    id: str
    yes: bool


class CancelJob(Command, frozen=True):
    """End a job; what it has done so far is said."""

    id: str


class RetryJob(Command, frozen=True):
    """Go on with a job that failed, where it failed."""

    id: str


class DismissJob(Command, frozen=True):
    """Show a job no more that is over."""

    id: str
