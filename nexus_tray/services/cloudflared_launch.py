"""What a cloudflared is started with: its configuration, command line, environment, credentials.

Owns the files that a start writes and the check of those it needs; cloudflared itself checks the
configuration before the first start with it. Imports `cloudflare`, `process` and this room.
Blocks; used by a run's starting thread.
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nexus_tray.cloudflare import config_file
from nexus_tray.cloudflare.errors import diagnose
from nexus_tray.cloudflare.log_lines import LogEntry, read_line
from nexus_tray.core.driver import Cause, Failure
from nexus_tray.model import Problem
from nexus_tray.services import cloudflared_faults as faults
from nexus_tray.services.cloudflared_kinds import NAMED, QUICK, TOKEN
from nexus_tray.services.environment import TOOL, child_environment
from nexus_tray.services.process import ChildProcess
from nexus_tray.store import files

CONFIG = "cloudflared.json"
"""The configuration file, in the tunnel's own folder."""

CHECK_LIMIT = 5.0
"""Seconds that cloudflared may take to check its configuration; healthy it takes 0.1."""

ASK_AGAIN = {"secrets-file-locked": 5.0}
"""Seconds until a store of secrets that was locked is asked again, by the reason's code."""
ASK_AGAIN_KEYRING = 30.0
"""The same for a keyring: each time its window may ask the person."""

_CREDENTIALS_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Identity:
    """Which tunnel it is. A quick one has no identity.

    `credentials`: a named tunnel's file. `token` reads a token tunnel's from where secrets are
    kept: None, there is none; raises Problem while they are out of reach.
    """

    kind: str = QUICK
    tunnel_id: str = ""
    credentials: Path | None = None
    token: Callable[[], str | None] | None = None


@dataclass(frozen=True)
class Launch:
    """A command line without the program, and what its environment has besides."""

    config: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


class Refusal(Exception):
    """It cannot be started now; `failure` says why and what comes next."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason.code)
        self.failure = failure


def prepare(
    identity: Identity,
    folder: Path,
    service: str,
    transport: str,
    *,
    grace: int,
    extra: Sequence[str] = (),
) -> Launch:
    """Write the configuration and gather the rest. `extra`: for a quick tunnel's command line.

    Raises Problem and Refusal.
    """
    files.ensure_private_dir(folder)
    config = folder / CONFIG
    files.write_atomic(config, content(identity, service))
    if identity.kind == QUICK:
        arguments = config_file.quick_arguments(config, transport, grace=grace, extra=extra)
        return Launch(config, arguments, {})
    if identity.kind == TOKEN:
        arguments = config_file.run_arguments(config, transport, grace=grace)
        return Launch(config, arguments, config_file.token_environment(_token(identity)))
    _check_credentials(identity)
    arguments = config_file.run_arguments(
        config, transport, grace=grace, tunnel_id=identity.tunnel_id
    )
    return Launch(config, arguments, {})


def content(identity: Identity, service: str) -> bytes:
    """The configuration file of this tunnel."""
    if identity.kind != NAMED:
        return config_file.configuration(service)
    return config_file.configuration(service, identity.tunnel_id, identity.credentials)


def environment(
    given: Mapping[str, str], folder: Path, additions: Mapping[str, str]
) -> dict[str, str]:
    """Nothing of the user's own cloudflared: no TUNNEL_* and another home (SECURITY 25)."""
    return child_environment(
        given,
        # With HTTP_PROXY set, Go's client speaks to our socket as to a proxy: in absolute
        # targets, which the gateway refuses. The quick service is https (HTTPS_PROXY).
        [name for name in TOOL if name.lower() != "http_proxy"],
        additions={
            **additions,
            "HOME": str(folder),
            # ours is the better check, and these wait for DNS; older versions know none
            "TUNNEL_NO_PRECHECKS": "true",
        },
    )


class Checker:
    """Has cloudflared check a configuration, once for each content and program. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._good: set[str] = set()

    def check(self, program: Path, config: Path, env: Mapping[str, str]) -> Failure | None:
        """Why cloudflared would not take it; None: it does. Blocks for CHECK_LIMIT at most."""
        known = hashlib.sha256(bytes(program) + b"\0" + config.read_bytes()).hexdigest()
        with self._lock:
            if known in self._good:
                return None
        failure = _validate(program, config, env)
        if failure is None:
            with self._lock:
                self._good = {known}
        return failure


def _validate(program: Path, config: Path, env: Mapping[str, str]) -> Failure | None:
    entries: list[LogEntry] = []
    codes: list[int | None] = []
    over = threading.Event()

    def ended(code: int | None) -> None:
        codes.append(code)
        over.set()

    try:
        child = ChildProcess(
            [str(program), *config_file.validate_arguments(config)],
            env,
            config.parent,
            on_line=lambda _stream, text: entries.append(read_line(text)),
            on_exit=ended,
        )
    except OSError as error:
        return faults.not_spawned(program, error)
    if not over.wait(CHECK_LIMIT):
        child.kill()
        return Failure(Cause.CRASH, faults.check_hangs())
    if codes[0] == 0:
        return None
    return diagnose(-9 if codes[0] is None else codes[0], entries)


def _token(identity: Identity) -> str:
    try:
        token = identity.token() if identity.token is not None else None
    except Problem as problem:
        # whoever unlocks it does not tell us, so it is asked again
        wait = ASK_AGAIN.get(problem.reason.code, ASK_AGAIN_KEYRING)
        reason = faults.token_locked(problem.reason)
        raise Refusal(Failure(Cause.NETWORK, reason, wait)) from problem
    if not token:
        raise Refusal(Failure(Cause.FATAL, faults.no_token()))
    return token


class _Credentials(msgspec.Struct):
    """What `tunnel create` writes; more may stand there."""

    account: str = msgspec.field(name="AccountTag")
    secret: str = msgspec.field(name="TunnelSecret")
    tunnel: str = msgspec.field(name="TunnelID")


def _check_credentials(identity: Identity) -> None:
    """Ours alone, and of this tunnel (SECURITY 20, 35). Raises Problem and Refusal."""
    path = identity.credentials
    if path is None or not identity.tunnel_id:
        raise Refusal(Failure(Cause.FATAL, faults.not_made()))
    try:
        found = msgspec.json.decode(files.read_private(path, _CREDENTIALS_LIMIT), type=_Credentials)
    except FileNotFoundError:
        raise Refusal(Failure(Cause.FATAL, faults.no_credentials(path))) from None
    except (msgspec.DecodeError, UnicodeDecodeError):  # without the cause, which quotes
        raise Refusal(Failure(Cause.FATAL, faults.odd_credentials(path))) from None
    if found.tunnel.lower() != identity.tunnel_id or not found.secret or not found.account:
        raise Refusal(Failure(Cause.FATAL, faults.odd_credentials(path)))
