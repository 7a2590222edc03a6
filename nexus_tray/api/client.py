"""Backend over HTTP: what a front end in another process holds.

Owns the client's half of the local API and the way to a running instance (`connect`).
Imports layer 1, the private-file reader and http.client, and nothing heavier: the CLI's
`status` pays for every import. Every call opens a connection of its own, so any thread
may call any method.
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from nexus_tray.api.command_requests import request_for
from nexus_tray.api.listener import is_foreign
from nexus_tray.commands import AnyCommand, Outcome
from nexus_tray.model import (
    Batch,
    Cursor,
    Hop,
    LogPage,
    LogQuery,
    Problem,
    Reason,
    Snapshot,
)
from nexus_tray.paths import Paths
from nexus_tray.reports import (
    Access,
    AuditPage,
    AuditQuery,
    Bundle,
    Examination,
    Importable,
    Measured,
    Setup,
    TokenFacts,
    Traffic,
    TrafficQuery,
    Transcript,
    Tunnels,
)
from nexus_tray.settings import Configuration
from nexus_tray.store.files import read_private

PREFIX = "/api/v1"
LONGEST_WAIT = 60.0
"""Seconds: the longest wait that the server accepts; longer ones are cut to it."""
PATIENCE = 10.0
"""Seconds that an answer may take beyond the wait that was asked for."""
SUBMIT_PATIENCE = 60.0
"""Seconds that a command may take: a keyring may ask its user first."""

T = TypeVar("T")

NOT_RUNNING = Reason(
    code="not-running",
    hop=Hop.GATEWAY,
    what="Nexus Tray is not running.",
    cure="Start it: nexus-tray run",
)


class _Address(msgspec.Struct):
    """What api.json says."""

    url: str
    token: str


def connect(paths: Paths) -> "HttpBackend":
    """The running instance of this user.

    Raises Problem "not-running" when there is none, and what `read_private` raises when
    the file could be another's: its address would be sent passwords. A file left behind by
    a killed instance is found out here if another user's program has its port now, else at
    the first call, which raises "not-running" too.
    """
    try:
        found = msgspec.json.decode(read_private(paths.api_file, 4096), type=_Address)
    except FileNotFoundError:
        raise Problem(NOT_RUNNING) from None
    except msgspec.DecodeError as error:
        raise Problem(_unreadable(f"{paths.api_file} is damaged ({error})")) from error
    backend = HttpBackend(found.url, found.token)
    if is_foreign(backend.port):
        raise Problem(NOT_RUNNING)
    return backend


class HttpBackend:
    """Backend at `url` (`http://127.0.0.1:PORT`), with its bearer token.

    Besides what Backend says, every method raises Problem: "not-running" when nobody
    answers there, "api-timeout", "api-unreadable" when the versions differ.
    """

    def __init__(self, url: str, token: str) -> None:
        scheme, _, authority = url.partition("://")
        host, _, port = authority.partition(":")
        if (scheme, host) != ("http", "127.0.0.1") or not port.isdigit():
            raise Problem(_unreadable(f"{url!r} is no address on this machine"))
        self.port = int(port)
        self._token = token

    def snapshot(self) -> Snapshot:
        """See Backend."""
        return self._get("/snapshot", {}, Snapshot)

    def events(self, since: Cursor | None, timeout: float) -> Batch:
        """See Backend. Waits at most LONGEST_WAIT seconds."""
        wait = min(max(timeout, 0.0), LONGEST_WAIT)
        query: dict[str, Any] = {"timeout": wait}
        if since is not None:
            query["since"] = f"{since.boot_id}:{since.id}"
        return self._get("/journal", query, Batch, wait)

    def logs(self, query: LogQuery, timeout: float = 0.0) -> LogPage:
        """See Backend. Waits at most LONGEST_WAIT seconds."""
        wait = min(max(timeout, 0.0), LONGEST_WAIT)
        given = {
            name: value
            for name in LogQuery.__struct_fields__
            if (value := getattr(query, name)) not in (None, "", ())
        }
        return self._get("/logs", {**given, "timeout": wait}, LogPage, wait)

    def submit(self, command: AnyCommand) -> Outcome:
        """See Backend."""
        method, path, body = request_for(command)
        status, answer = self._ask(method, path, body, {}, SUBMIT_PATIENCE)
        return _outcome(status, answer)

    def config(self) -> Configuration:
        """See Backend."""
        return self._get("/config", {}, Configuration)

    def update_config(self, change: Mapping[str, object], etag: str | None) -> Configuration:
        """See Backend."""
        fields = {} if etag is None else {"If-Match": f'"{etag}"'}
        status, answer = self._ask("PATCH", "/config", dict(change), fields, PATIENCE)
        return _decoded(status, answer, Configuration)

    def access(self) -> Access:
        """See Backend."""
        return self._get("/access", {}, Access)

    def audit(self, query: AuditQuery) -> AuditPage:
        """See Backend."""
        given = {
            name: value
            for name in AuditQuery.__struct_fields__
            if (value := getattr(query, name)) not in (None, "", ())
        }
        return self._get("/audit", given, AuditPage)

    def traffic(self, query: TrafficQuery) -> Traffic:
        """See Backend."""
        asked = {"seconds": query.seconds, "points": query.points, "tunnel": query.tunnel}
        return self._get("/traffic", asked, Traffic)

    def measured(self) -> Measured:
        """See Backend."""
        return self._get("/measurements", {}, Measured)

    def examine(self) -> Examination:
        """See Backend."""
        status, answer = self._ask("POST", "/examinations", None, {}, SUBMIT_PATIENCE)
        return _decoded(status, answer, Examination)

    def setup(self) -> Setup:
        """See Backend."""
        return self._get("/setup", {}, Setup)

    def tunnels(self) -> Tunnels:
        """See Backend."""
        return self._get("/tunnels", {}, Tunnels, SUBMIT_PATIENCE - PATIENCE)

    def inspect_token(self, text: str) -> TokenFacts:
        """See Backend."""
        body = {"token": text}
        status, answer = self._ask("POST", "/token-inspections", body, {}, PATIENCE)
        return _decoded(status, answer, TokenFacts)

    def importable(self) -> tuple[Importable, ...]:
        """See Backend."""
        return self._get("/importable", {}, tuple[Importable, ...])

    def transcript(self, session_id: str) -> Transcript:
        """See Backend."""
        key = quote(session_id.encode("utf-8", "replace"), safe="")
        return self._get(f"/opencode/sessions/{key}", {}, Transcript, LONGEST_WAIT)

    def bundle(self) -> Bundle:
        """See Backend."""
        status, answer = self._ask("POST", "/support-bundles", None, {}, SUBMIT_PATIENCE)
        return _decoded(status, answer, Bundle)

    def _get(self, path: str, query: Mapping[str, Any], kind: type[T], wait: float = 0.0) -> T:
        asked = urlencode(query, doseq=True, errors="replace")
        target = f"{path}?{asked}" if asked else path
        status, answer = self._ask("GET", target, None, {}, wait + PATIENCE)
        return _decoded(status, answer, kind)

    def _ask(
        self, method: str, target: str, body: object, fields: Mapping[str, str], patience: float
    ) -> tuple[int, bytes]:
        """One request and its whole answer."""
        headers = {"Authorization": f"Bearer {self._token}", **fields}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            # json, not msgspec: it spells half surrogates out, which the server then refuses
            # in words, where msgspec could not encode them at all.
            data = json.dumps(body).encode()
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            line.request(method, PREFIX + target, data, headers)
            with line.getresponse() as answer:
                return answer.status, answer.read()
        except TimeoutError as error:
            raise Problem(_silent(patience)) from error
        except (OSError, http.client.HTTPException) as error:
            # Refused: a file left behind. Cut off: it ended while we asked.
            raise Problem(NOT_RUNNING) from error
        finally:
            line.close()


def _decoded(status: int, answer: bytes, kind: type[T]) -> T:
    """The answer as `kind`; a refusal as its Problem."""
    if status != 200:
        outcome = _outcome(status, answer)
        raise Problem(outcome.reason or _unreadable(f"it answered {status} without a reason"))
    return _read(answer, kind)


def _outcome(status: int, answer: bytes) -> Outcome:
    """Every refusal is an Outcome. A wrong token means that the file is another instance's."""
    if status == 401:
        raise Problem(NOT_RUNNING)
    return _read(answer, Outcome)


def _read(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(_unreadable(str(error))) from error


def _unreadable(detail: str) -> Reason:
    return Reason(
        code="api-unreadable",
        hop=Hop.GATEWAY,
        what=f"The running Nexus Tray could not be understood: {detail}.",
        meaning="It may be of another version than this command.",
        cure="End it and start it again, so that both are the same.",
    )


def _silent(seconds: float) -> Reason:
    return Reason(
        code="api-timeout",
        hop=Hop.GATEWAY,
        what=f"Nexus Tray runs, but did not answer within {seconds:.0f} seconds.",
        meaning="It may be busy, or have crashed and be about to start again.",
        cure="Try again in a minute; if it stays so, end it and start it again.",
    )
