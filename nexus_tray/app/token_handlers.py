"""Tunnels that were made at Cloudflare and are known here by their token.

Owns what is done with a token: looked at, a tunnel made of it, replaced, forgotten. The token goes
to where secrets are kept and is never given back. Runs on the caller's thread.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from nexus_tray.app.handlers import Settle, names
from nexus_tray.cloudflare import tunnel_token
from nexus_tray.cloudflare.tunnel_token import TunnelToken
from nexus_tray.commands import AnyCommand, CreateTunnel, SetTunnelToken
from nexus_tray.core.driver import Input, Restart
from nexus_tray.core.local_backend import Handler
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import TokenFacts
from nexus_tray.settings import Settings, TunnelSettings


class Tokens(Protocol):
    """What is needed of the store of secrets; all raise Problem."""

    def set_tunnel_token(self, tunnel_id: str, token: str) -> None:
        """Store it."""

    def delete_tunnel_token(self, tunnel_id: str) -> None:
        """Forget it."""


class TokenHandlers:
    """`post` reaches the supervisor."""

    def __init__(
        self, settings: Settle, tokens: Tokens, post: Callable[[str, Input], None]
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._post = post

    def table(self) -> dict[type[AnyCommand], Handler]:
        """Which handler is whose."""
        return {SetTunnelToken: self._replace}

    def inspect(self, pasted: str) -> TokenFacts:
        """What a token says, and whether its tunnel is known. Raises Problem."""
        found = tunnel_token.parse(pasted)
        known = _known(self._settings.read().settings, found)
        return TokenFacts(
            account_id=found.account_id,
            tunnel_id=found.tunnel_id,
            known_as=known.name if known else "",
        )

    def create(self, command: CreateTunnel) -> str:
        """Make the tunnel of `command.token`, and have it run. Nothing takes long, so there is no
        job: the answer is empty. Raises Problem; then nothing was changed."""
        found = tunnel_token.parse(command.token)
        now = self._settings.read()
        if command.name in names(now.settings):
            raise Problem(_name_taken(command.name))
        known = _known(now.settings, found)
        if known is not None:
            raise Problem(_known_already(known.name))
        tunnel = TunnelSettings(
            name=command.name,
            kind="token",
            tunnel_id=found.tunnel_id,
            account_id=found.account_id,
            routes=command.routes,
        )
        self._tokens.set_tunnel_token(found.tunnel_id, found.text)
        try:
            tunnels = [*now.settings.tunnels, tunnel]
            self._settings.update({"tunnels": msgspec.to_builtins(tunnels)}, now.etag)
        except BaseException:
            self._tokens.delete_tunnel_token(found.tunnel_id)
            raise
        return ""

    def forget(self, tunnel: TunnelSettings) -> None:
        """The tunnel was deleted here: its token goes too. Raises Problem."""
        if tunnel.kind == "token" and tunnel.tunnel_id:
            self._tokens.delete_tunnel_token(tunnel.tunnel_id)

    def _replace(self, command: SetTunnelToken) -> str:
        tunnels = self._settings.read().settings.tunnels
        tunnel = next((one for one in tunnels if one.name == command.name), None)
        if tunnel is None or tunnel.kind != "token":
            raise Problem(_no_token_tunnel(command.name))
        found = tunnel_token.parse(command.token)
        if found.tunnel_id != tunnel.tunnel_id:
            raise Problem(_of_another(command.name))
        self._tokens.set_tunnel_token(found.tunnel_id, found.text)
        if tunnel.enabled:
            self._post(tunnel.name, Restart())
        return ""


def _known(settings: Settings, found: TunnelToken) -> TunnelSettings | None:
    return next((one for one in settings.tunnels if one.tunnel_id == found.tunnel_id), None)


def _reason(code: str, what: str, cure: str) -> Reason:
    return Reason(
        code=code, hop=Hop.CLOUDFLARED, what=what, meaning="Nothing was changed.", cure=cure
    )


def _name_taken(name: str) -> Reason:
    return _reason(
        "tunnel-name-taken", f"There is something named “{name}” already.", "Choose another name."
    )


def _known_already(name: str) -> Reason:
    return _reason(
        "tunnel-known",
        f"The tunnel of this token is here already, as “{name}”.",
        "If its token was replaced, give the new one to that tunnel.",
    )


def _no_token_tunnel(name: str) -> Reason:
    return _reason(
        "tunnel-not-by-token",
        f"There is no tunnel named “{name}” that runs by a token.",
        "`nexus-tray tunnel list` lists the tunnels.",
    )


def _of_another(name: str) -> Reason:
    return _reason(
        "tunnel-token-other",
        f"This token is of another tunnel than “{name}”.",
        "Copy the token of that tunnel, or make a new tunnel of this one.",
    )
