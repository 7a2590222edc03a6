"""The nouns of the local API: route, call, answer; and how a call is read and an answer made.

One table of `Route` values (api.resources) serves the requests, writes the OpenAPI
document and drives the security tests, so that none of them can know a route the others
do not. Imports layer 1 and Backend only; pure but for what a handler asks of Backend.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from nexus_tray.api.guard import Head
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.core.backend import Backend
from nexus_tray.model import Cursor, Hop, Problem, Reason, to_json

PREFIX = "/api/v1"
JSON = "application/json"


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parameters of a GET; field names are parameter names."""


class NoQuery(Query, frozen=True):
    """No parameters."""


@dataclass(frozen=True)
class Call:
    """One admitted request, read and typed.

    `query` and `body` are of the route's declared types. Streams end once `over`:
    the server stops, or whoever asked may ask no more. `hold` takes one of the places for
    streams, or None. `redeem` makes a one-time ticket into a bearer token, or None.
    """

    backend: Backend
    path: Mapping[str, str]
    query: Any
    body: Any
    head: Head
    over: Callable[[], bool]
    hold: Callable[[], Callable[[], None] | None]
    redeem: Callable[[str], str | None]


@dataclass(frozen=True)
class Answer:
    """What goes back. A body that is an iterator is sent piece by piece."""

    body: bytes | Iterator[bytes]
    status: int = 200
    media: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Route:
    """One operation: a method on a path, what it takes and what it answers.

    `answers` and `body` are types that msgspec knows; `body` None: there is none.
    Errors are always an `Outcome` with its reason. `stream`: it may not end by itself.
    `open`: admitted without a token, for the call shows something else.
    """

    method: str
    path: str
    handle: Callable[[Call], Answer]
    answers: Any = Outcome
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = field(default=())
    stream: bool = False
    open: bool = False

    @property
    def name(self) -> str:
        """The operation's name: its handler's."""
        return self.handle.__name__

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (self.handle.__doc__ or "").strip().splitlines()[0]


class BadCall(Exception):
    """The request cannot be understood; `reason` says what of it. Answered as 422."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.reason = Reason(
            code="api-bad-request",
            hop=Hop.GATEWAY,
            what=f"The request was not understood: {what}",
            meaning="Nothing was changed.",
            cure="See openapi.json for what this operation takes.",
        )


def read_query(raw: str, kind: type[msgspec.Struct]) -> Any:
    """The parameters of a raw query string as `kind`. Raises BadCall."""
    try:
        given = parse_qs(
            raw,
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=64,
        )
    except ValueError as error:
        raise BadCall("its query is malformed") from error
    many = {f.encode_name for f in msgspec.structs.fields(kind) if f.type == tuple[str, ...]}
    if any(len(values) > 1 for name, values in given.items() if name not in many):
        raise BadCall("a parameter is there twice")
    plain = {name: vs if name in many else vs[0] for name, vs in given.items()}
    return _typed(lambda: msgspec.convert(plain, kind, strict=False))


def read_body(raw: bytes, kind: Any) -> Any:
    """The JSON body as `kind`; None where the route takes none. Raises BadCall."""
    if kind is None:
        if raw.strip() not in (b"", b"{}"):
            raise BadCall("this operation takes no body")
        return None
    return _typed(lambda: msgspec.json.decode(raw, type=kind))


def read_cursor(text: str | None) -> Cursor | None:
    """`boot:id` as a Cursor; None for anything else, which the journal answers by a reset."""
    boot_id, _, number = (text or "").rpartition(":")
    if not boot_id or not (number.isascii() and number.isdigit()) or len(number) > 18:
        return None
    return Cursor(boot_id=boot_id, id=int(number))


def write_cursor(cursor: Cursor) -> str:
    """A Cursor as `boot:id`."""
    return f"{cursor.boot_id}:{cursor.id}"


def submit(call: Call, command: AnyCommand) -> Answer:
    """The outcome of a command: 200, or 409 where it was refused."""
    outcome = call.backend.submit(command)
    return Answer(to_json(outcome), status=200 if outcome.ok else 409)


def fault(status: int, reason: Reason, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error: every one has the shape of a refused Outcome."""
    body = msgspec.json.encode(Outcome(ok=False, reason=reason))
    return Answer(body, status=status, headers=headers)


def fault_of(problem: Problem) -> Answer:
    """A Problem of the backend: 412 where another change came first, else 422."""
    return fault(412 if problem.reason.code == "config-changed" else 422, problem.reason)


def _typed(read: Callable[[], Any]) -> Any:
    """Whatever in a value is not as declared, as BadCall. The texts name places, not values."""
    try:
        return read()
    except msgspec.ValidationError as error:
        raise BadCall(str(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadCall("its body is not valid JSON") from error
