"""A visitor's connection as far as the site answers on it: pages, refusals, our WebSockets.

Owns the answers of our own and what follows each: the next request, or the end. `relay.visitor`
builds on it. May import `gateway.*` below the visitor. Runs on the gateway's event loop.
"""

import asyncio
from dataclasses import replace

from nexus_tray.gateway.http import Request, Response
from nexus_tray.gateway.limits.limits import TurnedAway
from nexus_tray.gateway.relay import answers, errands
from nexus_tray.gateway.relay.channel import SocketChannel
from nexus_tray.gateway.relay.exchange import Exchange
from nexus_tray.gateway.relay.heads import Refused
from nexus_tray.gateway.relay.relay import Relay
from nexus_tray.gateway.relay.wire import State, Wire


class Answering(Wire):
    """The answers of our own on one connection."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self._request: Request | None = None
        self._minor = 1
        self._keep = True
        self._expects = False
        self._body = bytearray()
        self._limit = 0
        self._exchange: Exchange | None = None
        self._channel: SocketChannel | None = None
        self._task: asyncio.Task[None] | None = None

    def _answer_own(self, request: Request) -> None:
        """Have the site answer, whoever it is by now."""
        principal = self.principal
        self._task = self._relay.spawn(
            errands.respond(
                lambda: self._relay.site.respond(request, principal),
                lambda response: self._answered_own(response, signed_in=principal is not None),
                self._failed_own,
            )
        )

    def _answered_own(self, response: Response, *, signed_in: bool) -> None:
        if self._state is State.OWN:
            self._answer(response, keep=self._keep and signed_in)

    def _failed_own(self) -> None:
        if self._state is State.OWN:
            self._give_up(answers.broken())

    def _refuse(self, refusal: Refused) -> None:
        self._relay.tally.refuse(refusal.status)
        if isinstance(refusal, TurnedAway):
            self._relay.deny(self._request, refusal.told)
        elif refusal.status == 403:
            self._relay.deny(self._request, refusal.why)
        bears = self.principal is not None and self.principal.token
        answer = (answers.for_api if bears else answers.plain)(refusal.status, refusal.why)
        if refusal.status == 429:
            answer = replace(answer, headers=(*answer.headers, ("retry-after", "1")))
        self._give_up(answer)

    def _give_up(self, response: Response) -> None:
        """Answer, if no answer has begun, and close."""
        exchange, self._exchange = self._exchange, None
        self._metering.leave()
        if exchange is not None:
            exchange.abandon()
        if self._state is State.CLOSED:
            return
        if exchange is not None and exchange.begun:
            self._transport.abort()
        else:
            self._answer(response, keep=False)

    def _answer(self, response: Response, *, keep: bool) -> None:
        """Write an answer of ours; then the next request, or the end. A body that was not
        read to its end always ends the connection."""
        keep = keep and not response.close and self._reader.whole
        method = self._request.method if self._request is not None else "GET"
        self._metering.answered(response.status)
        self.send(answers.render(response, method=method, keep=keep))
        self._metering.leave()
        if keep:
            self._next_request()
        else:
            self._linger()

    def _next_request(self) -> None:
        self._reader.restart()
        self._state = State.HEAD
        self.principal = None
        self._standing.release()
        self._request = None
        bounds = self._relay.bounds
        if self._reader.between:
            self._expect_within(bounds.idle)
            self._regulate()
        else:
            self._expect_within(bounds.head)
            self._pump()

    # WebSockets of ours

    def _on_own_websocket(self, request: Request) -> None:
        accepted = self._relay.site.websocket(request, self.principal)
        if isinstance(accepted, Response):
            self._answer(accepted, keep=False)
            return
        if self.principal is not None:
            self._relay.limits.stream(request, self.principal, self._standing.account)
            self._standing.stream()
        self._state = State.CHANNEL
        self._metering.answered(101, endless=True)
        self._expect_within(None)
        self._channel = SocketChannel(
            self.send, self._transport.close, self.hold_upload, self._relay.bounds.buffer
        )
        self._pace(request)
        self._channel.feed(self._reader.take_rest())
        self._task = self._relay.spawn(
            errands.stream(accepted, self._channel, self._transport.close)
        )

    def _pace(self, request: Request) -> None:
        """What goes on from now passes by the limits of now."""
        relay = self._relay
        now = relay.clock()
        relay.limits.pace(self._standing, request, now, self._pace_in, self._pace_out)
