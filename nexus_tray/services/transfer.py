"""One file over HTTPS: resumed where it broke off, within one attempt and the next.

Owns the requests, the partial file beside the target and the note of where it comes from. What
the file *is* nobody here knows: who asked compares its SHA-256. Imports this room; blocks for
minutes, in the caller's thread.

A part is gone on with only if the server says that it is of the very same file: `Range` with
`If-Range` and a strong entity tag (RFC 9110, 13.1.5 and 14). Without one it begins anew.
"""

import contextlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from nexus_tray.model import Problem
from nexus_tray.services.progress import Cancelled, Progress, Suspended
from nexus_tray.store.files import write_atomic

_CHUNK = 256 * 1024
_LOOK = 0.1
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_NOTE_BYTES = 16 * 1024


@dataclass(frozen=True)
class Limits:
    """`silence`: seconds without a byte after which a connection counts as broken; `whole`: for
    one attempt; `most`: bytes that are believed; `tries`: connections in a row that bring nothing
    further, with `pause` seconds after the first and twice as long after each."""

    silence: float = 30.0
    whole: float = 900.0
    most: int = 128 * 1024 * 1024
    tries: int = 4
    pause: float = 0.5


class NotFetched(Exception):
    """It could not be had; `why` in words, `status` what the server answered, if that is why."""

    def __init__(self, why: str, status: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class _Broken(Exception):
    """This connection is over; another may go on."""


class _Astray(Exception):
    """A redirect left HTTPS."""


class _Note(msgspec.Struct, frozen=True):
    """Where a partial file comes from. `etag` empty: it cannot be gone on with."""

    url: str
    etag: str = ""
    total: int | None = None


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise _Astray
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str,
    target: Path,
    *,
    trust: ssl.SSLContext | None = None,
    progress: Progress,
    limits: Limits,
) -> bool:
    """Have `target` hold the whole file; True if a part of it was here from an earlier attempt.

    `trust`: other authorities than the system's. Raises NotFetched; then what came of it is kept
    if it can be gone on with. What `progress` raises ends it: nothing is kept after Cancelled.
    """
    if not url.startswith("https://"):
        raise NotFetched("its address is not HTTPS")
    handlers = (_OnlyHttps(), urllib.request.HTTPSHandler(context=trust or _system_trust()))
    one = _Transfer(url, target, urllib.request.build_opener(*handlers), progress, limits)
    try:
        return one.run()
    except Suspended:
        raise
    except (Cancelled, NotFetched) as error:
        if isinstance(error, Cancelled) or not one.resumable:
            discard(target)
        raise


def discard(target: Path) -> None:
    """Remove what is here of it."""
    with contextlib.suppress(OSError):  # it only takes room; the next fetch says what is wrong
        target.unlink(missing_ok=True)
        _note_of(target).unlink(missing_ok=True)


def _system_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


class _Transfer:
    def __init__(
        self,
        url: str,
        target: Path,
        opener: urllib.request.OpenerDirector,
        progress: Progress,
        limits: Limits,
    ) -> None:
        self._url = url
        self._target = target
        self._opener = opener
        self._progress = progress
        self._limits = limits
        self._end = time.monotonic() + limits.whole
        self._note = self._recall()

    @property
    def resumable(self) -> bool:
        """Whether another attempt could go on from what is here."""
        return bool(self._note.etag) and self._have() > 0

    def run(self) -> bool:
        began = furthest = self._have()
        vain = 0
        while not self._is_whole():
            try:
                self._one_connection()
            except _Broken as broken:
                have = self._have()
                vain = 0 if have > furthest else vain + 1
                furthest = max(furthest, have)
                if vain >= self._limits.tries or time.monotonic() > self._end:
                    raise NotFetched(self._told(str(broken))) from broken
                self._rest(self._limits.pause * 2**vain)
        return began > 0

    def _one_connection(self) -> None:
        """Go on over one connection until all is here. Raises _Broken and NotFetched."""
        try:
            answer = self._opener.open(self._request(), timeout=self._limits.silence)
        except _Astray as error:
            raise NotFetched("it leads away from HTTPS") from error
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                if error.code == 416:  # it is no longer that file
                    self._forget()
                    raise _Broken("the server has another file now") from error
                why = f"the server says {error.code} {error.reason}"
                raise NotFetched(why, error.code) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise NotFetched(str(error.reason)) from error
            raise _Broken(str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(str(error) or type(error).__name__) from error
        with answer:
            self._take(answer)

    def _request(self) -> urllib.request.Request:
        fields = {"User-Agent": "nexus-tray", "Accept-Encoding": "identity"}
        if self._have() and self._note.etag:
            fields |= {"Range": f"bytes={self._have()}-", "If-Range": self._note.etag}
        return urllib.request.Request(self._url, headers=fields)  # noqa: S310 - HTTPS, see fetch

    def _take(self, answer: http.client.HTTPResponse) -> None:
        size = self._begin(answer)
        total = self._note.total
        try:
            with self._target.open("ab") as file:
                self._progress(size, total)
                while data := _read(answer):
                    size += len(data)
                    self._progress(size, total)
                    if size > self._limits.most:
                        discard(self._target)
                        raise NotFetched("it is too large")
                    file.write(data)
                    if time.monotonic() > self._end:
                        raise _Broken("it comes too slowly")
        except OSError as error:  # the disk; the network's own are _Broken
            raise NotFetched(f"it cannot be stored: {error.strerror or error}") from error
        if total is None:
            self._note = _Note(
                self._url, total=size
            )  # the connection's end is all there is to go by
        elif size < total:
            raise _Broken("it broke off")
        elif size > total:
            discard(self._target)
            raise NotFetched("the server sent more than it said")

    def _begin(self, answer: http.client.HTTPResponse) -> int:
        """Make the target ready for this answer; how much of it is here. Raises _Broken."""
        have = self._have()
        if answer.status == 206:
            found = _RANGE.fullmatch(answer.headers.get("Content-Range") or "")
            if not found or int(found[1]) != have or int(found[3]) != self._note.total:
                self._forget()
                raise _Broken("the server sent another part than was asked for")
            return have
        length = answer.headers.get("Content-Length") or ""
        tag = answer.headers.get("ETag") or ""
        strong = tag if re.fullmatch(r'"[\x21\x23-\x7e]*"', tag) else ""
        self._forget()
        self._note = _Note(self._url, strong, int(length) if length.isdecimal() else None)
        try:
            write_atomic(_note_of(self._target), msgspec.json.encode(self._note))
            self._target.touch(mode=0o600)
        except (OSError, Problem) as error:
            raise NotFetched(f"it cannot be stored: {error}") from error
        return 0

    def _is_whole(self) -> bool:
        return self._note.total is not None and self._have() == self._note.total

    def _have(self) -> int:
        try:
            return self._target.stat().st_size
        except OSError:
            return 0

    def _forget(self) -> None:
        discard(self._target)
        self._note = _Note(self._url)

    def _recall(self) -> _Note:
        """What is here of this very address; anything else is removed."""
        try:
            with _note_of(self._target).open("rb") as file:
                note = msgspec.json.decode(file.read(_NOTE_BYTES), type=_Note)
        except (OSError, msgspec.MsgspecError):
            note = _Note("")
        if note.url == self._url and note.etag and self._have() <= (note.total or 0):
            return note
        discard(self._target)
        return _Note(self._url)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._progress(self._have(), self._note.total)
            time.sleep(min(_LOOK, left))

    def _told(self, why: str) -> str:
        total = self._note.total
        if not self.resumable or not total:
            return why
        return f"{why} at {self._have() * 100 // total} %; the next try goes on from there"


def _read(answer: http.client.HTTPResponse) -> bytes:
    """What is there: a slow network shows progress too. Raises _Broken."""
    try:
        return answer.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(str(error) or "it broke off") from error


def synced(file: Path) -> Path:
    """The file, safe on the disk: a rename over the old one must not come before its content."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return file
