"""A visitor's requests: asks the rules, the door and the site, in that order, and answers.

Owns the order of judgement: framing, rules, door, route, local copies, our own paths,
session, Origin, OpenCode or a preview. May import `gateway.*` below the server. Runs on the
gateway's event loop.

A visitor without a session is answered and the connection closed: nothing of his reaches
OpenCode, and nothing he sent after it is ever read as a request (SECURITY.md 2).
"""

import asyncio
import logging
from dataclasses import replace

from nexus_tray.gateway import routes
from nexus_tray.gateway.doors import Entrance
from nexus_tray.gateway.headers import Headers
from nexus_tray.gateway.http import PREFIX, Preview, Principal, Request, Shaper
from nexus_tray.gateway.relay import answers, fields, rules
from nexus_tray.gateway.relay.answering import Answering
from nexus_tray.gateway.relay.exchange import Exchange
from nexus_tray.gateway.relay.framing import End, Reader
from nexus_tray.gateway.relay.heads import Refused, RequestHead, ResponseHead
from nexus_tray.gateway.relay.relay import Relay
from nexus_tray.gateway.relay.wire import State
from nexus_tray.gateway.signin.reading import refuse_more_than_reading

log = logging.getLogger(__name__)

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _as_it_is(request: Request, status: int, headers: Headers) -> Shaper | None:
    """What passes from a preview is changed by nothing of ours."""
    del request, status, headers
    return None  # said, for mypyc 2.4 does not end a body that is a text alone (build/native.py)


class VisitorConnection(Answering):
    """One connection from a visitor (or from cloudflared, which mixes many)."""

    def __init__(self, relay: Relay, entrance: Entrance) -> None:
        super().__init__(relay)
        self._entrance = entrance
        self._reader = Reader(relay.known.parse_request, rules.judge_request)
        self._pumping = False
        self._foreign = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look who it is while his socket is surely still his."""
        super().connection_made(transport)
        self._foreign = not self._entrance.may_enter(transport)

    # requests

    def _pump(self) -> None:
        """A loop, not recursion: a thousand pipelined requests that are answered at once must
        not become a thousand frames."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._listening() and (event := self._reader.next()) is not None:
                self._handle(event)
            if self._exchange is not None:
                self._exchange.flush()
        except Refused as refusal:
            self._refuse(refusal)
        except Exception:
            log.exception("a request could not be handled")
            self._give_up(answers.broken())
        finally:
            self._pumping = False
        self._regulate()

    def _listening(self) -> bool:
        """Not after the last answer; and no new request while answers pile up unread."""
        if self._state is State.HEAD:
            return self._write_by is None
        return self._state in (State.OWN_BODY, State.FORWARD)

    def _handle(self, event: RequestHead | bytes | End) -> None:
        if isinstance(event, RequestHead):
            self._relay.tally.requests += 1
            self._metering.asked_at = self._relay.clock()
            self._on_head(event)
        elif isinstance(event, bytes):
            self._on_body(event)
        elif self._exchange is not None:
            self._exchange.upload_end()
        elif self._request is not None:
            self._state = State.OWN
            self._expect_within(None)
            whole = replace(self._request, body=bytes(self._body))
            if self._body:  # the session may have ended while it came (SECURITY.md 8)
                self.principal = self._relay.site.authenticate(self._request)
            self._answer_own(whole)

    def _on_head(self, head: RequestHead) -> None:
        self._minor = head.minor
        self._keep = fields.stays_open(head.minor, head.headers)
        self._expects = head.minor == 1 and bool(fields.values(head.headers, b"expect"))
        if self._foreign:
            raise Refused(403, "This door is for its owner's own programs on this machine.")
        visitor = self._entrance.admit(head)
        self.door = visitor.door.name
        path, _, query = head.target.decode("ascii").partition("?")
        websocket = fields.asks_websocket(head)
        headers = fields.end_to_end(head.headers)
        if websocket:
            headers += fields.UPGRADE
        method = head.method.decode("ascii")
        request = Request(method, path, query, headers, visitor, websocket=websocket)
        self._request = request
        word = self._relay.proofs.answer(request)
        if word is not None:  # before anything else has a say: every name of ours is visited so
            self._metering.take_back()  # it is no traffic, and nobody's visit
            self._answer(word, keep=False)
            return
        self._relay.tally.admit(visitor.door.name)
        self._metering.enter(visitor.door.name)
        self._relay.limits.enter(visitor)
        self._lead(request, rules.declared_length(head))

    def _lead(self, request: Request, length: int | None) -> None:
        """By the host name, before any credential or body is looked at."""
        place = routes.lead(self._relay.routes, request.visitor.door, request.visitor.host)
        if place is routes.Lead.NOWHERE:
            self._relay.tally.refuse(404)
            self._relay.deny(request, "asked for a host name that leads nowhere")
            self._answer(answers.nowhere(), keep=False)
            return
        copy = None
        if isinstance(place, Preview):
            request = replace(request, visitor=replace(request.visitor, preview=place))
            self._request = request
        elif request.method in ("GET", "HEAD"):
            copy = self._relay.site.local_copy(request)
        if copy is not None:
            self._ask(request, None)
            self._answer(copy, keep=False)
        elif request.path.startswith(PREFIX):
            self._on_own(request, length)
        else:
            self._on_forward(request, length)

    def _on_own(self, request: Request, length: int | None) -> None:
        rules.refuse_origin(request, ours=True)
        rules.refuse_embedding(request)
        site = self._relay.site
        self._recognise(request)
        if request.websocket:
            self._on_own_websocket(request)
            return
        self._welcome_body(length, site.body_limit(request))
        self._body.clear()
        self._state = State.OWN_BODY
        self._expect_within(self._relay.bounds.own_body)

    def _on_forward(self, request: Request, length: int | None) -> None:
        relay = self._relay
        principal = self._recognise(request)
        if principal is None:
            relay.tally.refuse(401)
            self._answer(relay.site.stranger(request), keep=False)
            return
        rules.refuse_origin(request, ours=False)
        rules.refuse_embedding(request)
        refuse_more_than_reading(request, principal)
        preview = request.visitor.preview
        if preview is None:
            self._metering.pass_on(relay.meters.opencode)
        if relay.pool.target is None if preview is None else relay.pool.crowded:
            relay.tally.failed += 1
            self._metering.unreachable()
            self._answer(answers.not_now(request), keep=self._keep)
            return
        relay.limits.stream(request, principal, self._standing.account)
        self._welcome_body(length, relay.bounds.upload)
        relay.tally.forwarded += 1
        self._standing.stream()
        self._state = State.FORWARD
        self._exchange = Exchange(
            self,
            request,
            principal,
            relay.pool,
            relay.shape if preview is None else _as_it_is,
            length=length,
            minor=self._minor,
            keep=self._keep,
            preview=preview,
        )
        self._exchange.start()
        self._pace(request)
        self._standing.begin()

    def _recognise(self, request: Request) -> Principal | None:
        self.principal = principal = self._relay.site.authenticate(request)
        if principal is not None:
            self._relay.tally.recognise(request.visitor.door.name, self._relay.wall())
            self._standing.claim(principal)
        self._ask(request, principal)
        return principal

    def _ask(self, request: Request, principal: Principal | None) -> None:
        relay = self._relay
        relay.limits.ask(request, principal, self._standing.account, relay.clock())

    def _welcome_body(self, length: int | None, limit: int) -> None:
        """Bound the body. The Expect is answered by us, now that we mean to read it (RFC 9110,
        10.1.1), unless the body comes anyway."""
        if length is not None and length > limit:
            raise Refused(413, "The body is too large.")
        self._limit = limit
        if self._expects and not self._reader.whole and self._reader.pending == 0:
            self.send(CONTINUE)

    def _on_body(self, data: bytes) -> None:
        self._limit -= len(data)
        if self._limit < 0:
            raise Refused(413, "The body is too large.")
        if self._exchange is not None:
            self._exchange.upload(data)
        else:
            self._body += data

    # from the exchange

    def answering(self, head: ResponseHead) -> None:
        """OpenCode's answer begins; an event stream and a tunnel go on for as long as they like."""
        endless = head.status == 101 or fields.is_event_stream(head)
        self._metering.answered(head.status, endless=endless, behind=True)

    def became_raw(self) -> None:
        """101: what the visitor sent meanwhile is no HTTP either."""
        self._state = State.RAW
        self._expect_within(None)
        if self._exchange is not None:
            self._raw(self._reader.take_rest())

    def exchange_over(self, *, keep: bool) -> None:
        """The answer is complete."""
        self._standing.end_stream()
        self._exchange = None
        self._held = False
        self._metering.leave()
        if self._state is State.CLOSED:
            return
        if keep and self._reader.whole:
            self._next_request()
        else:
            self._linger()

    def exchange_failed(self, *, begun: bool) -> None:
        """No answer: a page of ours. Half an answer: the visitor must see that it is torn."""
        why = self._exchange.why if self._exchange is not None else ""
        self._standing.end_stream()
        self._exchange = None
        self._held = False
        if self._state is State.FORWARD and not begun:
            self._metering.unreachable()
        self._metering.leave()
        if self._state is State.CLOSED:
            return
        if self._state is State.RAW:
            self._transport.close()
            return
        self._relay.tally.failed += 1
        if not begun and self._request is not None:
            self._answer(answers.failed(self._request, why), keep=self._keep)
        elif self._minor == 1:
            self._transport.close()
        else:  # the end of the connection would be the end of the body
            self._transport.abort()

    def reroute(self) -> None:
        """The routes have changed: end what is under way to where it may no longer lead."""
        if self._request is None or not self.streaming:
            return
        visitor = self._request.visitor
        now = routes.lead(self._relay.routes, visitor.door, visitor.host)
        if not routes.same_place(now, visitor.preview or routes.Lead.OPENCODE):
            self.abort()

    def limit_anew(self) -> None:
        """The limits have changed: end what they refuse, and pace what goes on by them."""
        if self._request is None or not self.streaming:
            return
        visitor = self._request.visitor
        rules = self._relay.limits.rules
        if rules.judge(visitor.address, visitor.country, visitor.door.kind) is not None:
            self.abort()
        else:
            self._pace(self._request)

    # from the wire

    def _raw(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.feed(data)
        elif self._exchange is not None:
            self._exchange.upload(data)
            self._exchange.flush()

    def _blocked(self, *, blocked: bool) -> None:
        if self._exchange is not None:
            self._exchange.hold_download(held=blocked)
        elif self._channel is not None:
            self._channel.block(blocked=blocked)
        elif not blocked:
            self._pump()

    def _late(self) -> None:
        self._refuse(Refused(408, "The request did not come in time."))

    def _gone(self) -> None:
        self._metering.leave()
        if self._exchange is not None:
            self._exchange.abandon()
            self._exchange = None
        if self._channel is not None:
            self._channel.end()
            if self._task is not None:
                self._task.cancel()
