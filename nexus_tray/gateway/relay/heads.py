"""The heads of HTTP/1 messages: their grammar, and how we write our own.

Pure. May import the standard library and `gateway.http`. Runs on the gateway's event loop.
What a well-formed head may *mean* is judged by `gateway.rules`.

The grammar is deliberately narrower than RFC 9112 (no folded lines, no bare LF, no leading
empty lines, no bytes outside ASCII in a target): two parsers that read the same bytes
differently are what request smuggling is made of, and the corners are where they differ.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nexus_tray.gateway.headers import Fields, Headers

HEAD_LIMIT = 65_536
"""Bytes of a head, its empty line included (SECURITY.md 12)."""

FIELDS_LIMIT = 128
"""Field lines of a head."""

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]++) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n")
# Possessive: an attacker's line must not make the match go back over it (ReDoS, CWE-1333).
_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELD = re.compile(rb"%b:%b" % (_NAME, _VALUE))
_BLOCK = re.compile(rb"(?:%b:%b\r\n)*+" % (_NAME, _VALUE))
_LINES = re.compile(rb"(%b):[ \t]*+(%b)\r\n" % (_NAME, _VALUE))


class Refused(Exception):
    """A message that is not taken. `status` is the answer (to a visitor; 502 for a response),
    `why` one plain sentence for it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class RequestHead(NamedTuple):
    """A request line and its fields: names in lower case, values without outer blanks."""

    method: bytes
    target: bytes
    minor: int
    headers: Headers


class ResponseHead(NamedTuple):
    """A status line and its fields. The reason phrase is not kept: nothing may read it."""

    status: int
    minor: int
    headers: Headers


def is_field(line: bytes) -> bool:
    """A well-formed field line, without its end."""
    return _FIELD.fullmatch(line) is not None


def parse_fields(block: bytes) -> Fields:
    """Field lines, each with its end. Raises Refused."""
    if _BLOCK.fullmatch(block) is None:
        raise Refused(400, "A header line is malformed.")
    found = _LINES.findall(block)
    if len(found) > FIELDS_LIMIT:
        raise Refused(431, "There are too many header lines.")
    return Fields([(name.lower(), value.rstrip(b" \t")) for name, value in found])


def parse_request(head: bytes, fields_of: Callable[[bytes], Fields] = parse_fields) -> RequestHead:
    """The head up to and with the end of its last line, without the empty one (RFC 9112, 3).
    Raises Refused."""
    match = _REQUEST_LINE.match(head)
    if match is None:
        raise Refused(400, "The request line is malformed.")
    method, target, minor = match.groups()
    return RequestHead(method, target, 1 if minor == b"1" else 0, fields_of(head[match.end() :]))


def parse_response(head: bytes) -> ResponseHead:
    """As `parse_request` (RFC 9112, 4). Raises Refused."""
    match = _STATUS_LINE.match(head)
    if match is None:
        raise Refused(502, "The status line is malformed.")
    return ResponseHead(int(match[2]), int(match[1]), parse_fields(head[match.end() :]))


def write_fields(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Field lines, each with its end. They must come from a parsed head or be our constants."""
    return b"".join([b"%b: %b\r\n" % line for line in headers])


def write_request(method: bytes, target: bytes, block: bytes) -> bytes:
    """A request head; `block` by `write_fields`."""
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, block)


def write_response(status: int, phrase: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A response head. Fields must come from a parsed head or pass `safe_field`."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase.encode("ascii"), write_fields(headers))


def safe_field(name: bytes, value: bytes) -> bool:
    """The field can be written without becoming something else (response splitting, CWE-113)."""
    return _FIELD.fullmatch(b"%b: %b" % (name, value)) is not None
