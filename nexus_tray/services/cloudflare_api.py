"""Cloudflare's API, where cloudflared has no command: a zone's name, and its DNS records.

Owns these requests, made with the token of a zone's certificate, which may do little else. HTTPS
only (tests name a lab), bounded in size and in time as a whole. Blocks; any thread.
"""

import contextlib
import http.client
import queue
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from nexus_tray.cloudflare.origin_certificate import OriginCertificate
from nexus_tray.model import Hop, Problem, Reason

BASE = "https://api.cloudflare.com/client/v4"
LIMIT = 10.0
"""Seconds that a request may take in all, from the look-up of the name to the last byte."""
_MOST = 1024 * 1024

T = TypeVar("T")


class Record(msgspec.Struct, frozen=True):
    """A DNS record. `content`: for a tunnel's, `<its id>.cfargotunnel.com`."""

    id: str
    name: str
    type: str = ""
    content: str = ""


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Answer(msgspec.Struct):
    success: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    errors: list[_Error] = []


class _Zone(msgspec.Struct):
    name: str


class NotAllowed(Exception):
    """The certificate's token may not do this; whoever asked has another way, or says so."""


@dataclass(frozen=True)
class Api:
    """The API with one certificate."""

    certificate: OriginCertificate
    base: str = BASE

    def zone_name(self) -> str:
        """The zone's domain. Raises NotAllowed and Problem."""
        raw = self._ask("GET", f"/zones/{self.certificate.zone_id}")
        return _read(raw, _Zone).name.lower()

    def accepted(self) -> bool:
        """Whether Cloudflare takes the token for anything that we know of. Raises Problem."""
        for ask in (lambda: self._ask("GET", "/user/tokens/verify"), self.zone_name, self.records):
            try:
                ask()
            except NotAllowed:
                continue
            return True
        return False

    def records(self, *, content: str = "", name: str = "") -> tuple[Record, ...]:
        """The zone's records with this content, or this name. Raises NotAllowed and Problem."""
        asked = f"content={quote(content)}" if content else f"name={quote(name)}"
        path = f"/zones/{self.certificate.zone_id}/dns_records?{asked}&per_page=100"
        return _read(self._ask("GET", path), tuple[Record, ...])

    def delete_record(self, record: Record) -> None:
        """Delete it; one that is gone is fine. Raises NotAllowed and Problem."""
        path = f"/zones/{self.certificate.zone_id}/dns_records/{quote(record.id, safe='')}"
        self._ask("DELETE", path, gone_is_fine=True)

    def configuration(self, tunnel_id: str) -> bytes:
        """How a tunnel is configured there, as `cloudflare.metrics.parse_config` reads it.
        Raises NotAllowed and Problem."""
        account = self.certificate.account_id
        return self._ask("GET", f"/accounts/{account}/cfd_tunnel/{tunnel_id}/configurations")

    def _ask(self, method: str, path: str, *, gone_is_fine: bool = False) -> bytes:
        where = urlsplit(self.base)
        host, port = where.hostname or "", where.port
        line: http.client.HTTPConnection
        if where.scheme == "https":
            context = ssl.create_default_context()
            line = http.client.HTTPSConnection(host, port, timeout=LIMIT, context=context)
        else:
            line = http.client.HTTPConnection(host, port, timeout=LIMIT)
        fields = {"Authorization": f"Bearer {self.certificate.api_token}"}
        try:
            status, body = _within(LIMIT, line, method, where.path + path, fields)
        except (OSError, http.client.HTTPException) as error:
            raise Problem(_unreachable(str(error) or type(error).__name__)) from error
        finally:
            line.close()
        return _result(status, body, gone_is_fine=gone_is_fine)


def _within(
    seconds: float,
    line: http.client.HTTPConnection,
    method: str,
    target: str,
    fields: dict[str, str],
) -> tuple[int, bytes]:
    """Status and body. Raises OSError (a TimeoutError after so many seconds) and HTTPException.

    A socket's own limit is for each of its operations, so whoever sends a byte now and then
    would hold us for ever, and the look-up of a name knows no limit: hence a thread of its own.
    """
    found: queue.SimpleQueue[tuple[int, bytes] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            line.request(method, target, headers=fields)
            answer = line.getresponse()
            found.put((answer.status, answer.read(_MOST)))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            found.put(error)

    threading.Thread(target=ask, name="cloudflare api", daemon=True).start()
    try:
        said = found.get(timeout=seconds)
    except queue.Empty:
        if line.sock is not None:
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)  # a close alone wakes nobody
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from None
    if isinstance(said, Exception):
        raise said
    return said


def _result(status: int, body: bytes, *, gone_is_fine: bool) -> bytes:
    if status in (401, 403):
        raise NotAllowed
    if status == 404 and gone_is_fine:
        return b"null"
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        if status == 404:
            raise NotAllowed from error
        raise Problem(_odd(status)) from error
    if answer.success:
        return bytes(answer.result)
    if status == 404:
        raise NotAllowed
    said = answer.errors[0] if answer.errors else _Error(status)
    if status == 429:
        raise Problem(_reason("api-rate-limited", "Cloudflare was asked too often just now.",
                              "Wait a few minutes, then try again."))  # fmt: skip
    raise Problem(_reason("api-refused", f"Cloudflare refused: {said.message[:200]} ({said.code}).",
                          "Try again in a minute."))  # fmt: skip


def _read(raw: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(_odd(200)) from error


def _odd(status: int) -> Reason:
    what = f"Cloudflare's API answered what makes no sense ({status})."
    return _reason("api-garbage", what, "Try again in a minute.")


def _unreachable(why: str) -> Reason:
    return _reason(
        "api-unreachable", f"Cloudflare's API could not be reached ({why}).",
        "Look at this machine's network, then try again.",
    )  # fmt: skip


def _reason(code: str, what: str, cure: str) -> Reason:
    return Reason(code=code, hop=Hop.EDGE, what=what, cure=cure)
