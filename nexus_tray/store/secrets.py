"""Provider keys and tunnels' tokens: in the system's keyring, or in an encrypted file that says it
is one.

Owns where secrets lie, which names they may have, and what is said about it. Imports the
model, the paths and its own room. Any thread may call any method.

Where no keyring is, there is nothing until the user gives a passphrase for the file; once
that file exists, it is what is used, so that keys are never in two places. Nothing here
ever prints a secret, nor a name that may be a secret given in the wrong place.

Keys are for OpenCode, whose agent reads them; tunnels' tokens and the second factor's secret never
are. So they have namespaces of their own, and nothing that lists keys can list them.
"""

import re
import threading
from enum import StrEnum

from nexus_tray.model import Hop, Problem, Reason, Value
from nexus_tray.paths import Paths
from nexus_tray.store import secret_file
from nexus_tray.store.secret_keyring import LOCKED, NAME, NO_KEYRING, Keyring

SERVICE = "nexus-tray"
# SECURITY.md 34: whoever asks is answered within 3 s.
TIME_LIMIT = 2.5
SECRET_CHARACTERS = 8192
_TUNNEL = "tunnel:"
_SIGN_IN = "sign-in:"
_OURS = (_TUNNEL, _SIGN_IN)
"""What is not OpenCode's in the one file that holds everything."""
# They steer programs instead of being keys; ours among them would open what we closed.
_STEERING = re.compile(
    r"(PATH|HOME|SHELL|IFS|BASH_ENV|ENV|(LD|DYLD|NEXUS|TUNNEL|OPENCODE_SERVER)_.*|OPENCODE_PASSWORD)",
    re.IGNORECASE,
)


class SecretPlace(StrEnum):
    """Where secrets are, as far as they can be reached now."""

    KEYRING = "keyring"
    LOCKED = "locked"
    FILE = "file"
    FILE_LOCKED = "file-locked"
    NONE = "none"


class SecretState(Value, frozen=True):
    """The place of secrets, and what to say about it (None: the keyring, all is well)."""

    place: SecretPlace
    reason: Reason | None = None


class SecretStore:
    """The user's provider keys, by the name of the environment variable that gets them."""

    def __init__(
        self, paths: Paths, service: str = SERVICE, time_limit: float = TIME_LIMIT
    ) -> None:
        self._path = paths.secrets_file
        self._keyring = Keyring(service, time_limit)
        self._tokens = Keyring(f"{service}-tunnels", time_limit)
        self._sign_in = Keyring(f"{service}-sign-in", time_limit)
        self._lock = threading.Lock()
        self._file: secret_file.SecretFile | None = None

    def state(self) -> SecretState:
        """Where secrets are now. Answers within the time limit, whatever the keyring does."""
        if self._path.exists():
            if self._file is None:
                return SecretState(place=SecretPlace.FILE_LOCKED, reason=_FILE_LOCKED)
            return SecretState(place=SecretPlace.FILE, reason=_IN_FILE)
        try:
            self._keyring.names()
        except Problem as problem:
            none = problem.reason.code == NO_KEYRING.code
            place = SecretPlace.NONE if none else SecretPlace.LOCKED
            return SecretState(place=place, reason=problem.reason)
        return SecretState(place=SecretPlace.KEYRING)

    def out_of_reach(self) -> Reason | None:
        """Why what is stored is out of reach, if there is something; None: nothing is, or there is
        no keyring. Answers within the time limit, and opens no window of a Secret Service."""
        if self._path.exists():
            return _FILE_LOCKED if self._file is None else None
        try:
            for keyring in (self._keyring, self._tokens, self._sign_in):
                if keyring.locked_away():
                    return LOCKED
        except Problem as problem:
            return None if problem.reason.code == NO_KEYRING.code else problem.reason
        return None

    def names(self) -> tuple[str, ...]:
        """The names of what is stored, sorted. Raises Problem while they cannot be read."""
        return tuple(sorted(self.all()))

    def all(self) -> dict[str, str]:
        """Everything stored, by name; nothing where nothing can be stored yet.

        Raises Problem: "secrets-locked" (the keyring), "secrets-file-locked", or the disk's.
        """
        with self._lock:
            if self._path.exists():
                stored = self._opened().read()
                return {name: one for name, one in stored.items() if not name.startswith(_OURS)}
            try:
                return self._keyring.all()
            except Problem as problem:
                if problem.reason.code == NO_KEYRING.code:
                    return {}
                raise

    def get(self, name: str) -> str | None:
        """One secret, or None if there is none. Raises as `all` does."""
        return self.all().get(name)

    def set(self, name: str, secret: str) -> None:
        """Store a secret. Raises Problem for a name or value that cannot be, and as `all` does;
        "secrets-no-keyring" where first a passphrase is needed."""
        _check(name, secret)
        with self._lock:
            if self._path.exists():
                file = self._opened()
                file.write({**file.read(), name: secret})
            else:
                self._keyring.set(name, secret)

    def delete(self, name: str) -> None:
        """Forget a secret; one that is not there is fine. Raises as `all` does."""
        with self._lock:
            if self._path.exists():
                file = self._opened()
                file.write({key: value for key, value in file.read().items() if key != name})
            else:
                self._keyring.delete(name)

    def tunnel_token(self, tunnel_id: str) -> str | None:
        """A tunnel's token, or None. Raises as `all` does, and "secrets-no-keyring": at login
        the keyring may come later, and with it the token."""
        with self._lock:
            if self._path.exists():
                return self._opened().read().get(_TUNNEL + tunnel_id)
            return self._tokens.all().get(_entry(tunnel_id))

    def sign_in_secret(self, factor_id: str) -> str | None:
        """What the second factor of that id is checked with, or None. Raises as `tunnel_token`."""
        with self._lock:
            if self._path.exists():
                return self._opened().read().get(_SIGN_IN + factor_id)
            return self._sign_in.all().get(f"factor_{factor_id}")

    def set_sign_in_secret(self, factor_id: str, secret: str) -> None:
        """Store it. Raises as `set` does."""
        with self._lock:
            if self._path.exists():
                file = self._opened()
                file.write({**file.read(), _SIGN_IN + factor_id: secret})
            else:
                self._sign_in.set(f"factor_{factor_id}", secret)

    def delete_sign_in_secret(self, factor_id: str) -> None:
        """Forget it; one that is not there is fine. Raises as `all` does."""
        with self._lock:
            if self._path.exists():
                file, gone = self._opened(), _SIGN_IN + factor_id
                file.write({key: value for key, value in file.read().items() if key != gone})
            else:
                self._sign_in.delete(f"factor_{factor_id}")

    def set_tunnel_token(self, tunnel_id: str, token: str) -> None:
        """Store a tunnel's token. Raises as `set` does."""
        with self._lock:
            if self._path.exists():
                file = self._opened()
                file.write({**file.read(), _TUNNEL + tunnel_id: token})
            else:
                self._tokens.set(_entry(tunnel_id), token)

    def delete_tunnel_token(self, tunnel_id: str) -> None:
        """Forget a tunnel's token; one that is not there is fine. Raises as `all` does."""
        with self._lock:
            if self._path.exists():
                file, gone = self._opened(), _TUNNEL + tunnel_id
                left = {key: value for key, value in file.read().items() if key != gone}
                file.write(left)
            else:
                self._tokens.delete(_entry(tunnel_id))

    def unlock(self, passphrase: str) -> None:
        """Open the encrypted file; make it where there is none and no keyring answers.

        Raises Problem as `secret_file.open_file` does; "secrets-in-keyring" when the
        keyring works, which is the better place.
        """
        if not self._path.exists() and self.state().place is SecretPlace.KEYRING:
            raise Problem(_IN_KEYRING)
        with self._lock:
            self._file = secret_file.open_file(self._path, passphrase)

    def _opened(self) -> secret_file.SecretFile:
        if self._file is None:
            raise Problem(_FILE_LOCKED)
        return self._file


def _entry(tunnel_id: str) -> str:
    """A tunnel's UUID as a name that a keyring's entry may have (`NAME`)."""
    return "tunnel_" + tunnel_id.replace("-", "_")


def _check(name: str, secret: str) -> None:
    if not NAME.fullmatch(name) or _STEERING.fullmatch(name):
        raise Problem(
            Reason(
                code="secret-name-invalid",
                hop=Hop.OPENCODE,
                what="No key can have this name.",
                meaning="Nothing was stored.",
                cure="Use the environment variable that the provider documents, such as "
                "ANTHROPIC_API_KEY.",
            )
        )
    if not 0 < len(secret) <= SECRET_CHARACTERS or re.search(r"[\0\r\n\ud800-\udfff]", secret):
        raise Problem(
            Reason(
                code="secret-invalid",
                hop=Hop.OPENCODE,
                what=f"The value given for {name} is empty, longer than {SECRET_CHARACTERS} "
                "characters, or not one line of text.",
                meaning="Nothing was stored.",
                cure="Copy the key again, without anything around it.",
            )
        )


_FILE_LOCKED = Reason(
    code="secrets-file-locked",
    hop=Hop.GATEWAY,
    what="The encrypted file of secrets is closed.",
    meaning="OpenCode runs without the stored keys until it is opened.",
    cure="Give its passphrase: nexus-tray secret unlock",
)
_IN_FILE = Reason(
    code="secrets-in-file",
    hop=Hop.GATEWAY,
    what="Stored keys are in a file of ours, encrypted with your passphrase.",
    meaning="They are not in the system's keyring, and are open until the program ends.",
)
_IN_KEYRING = Reason(
    code="secrets-in-keyring",
    hop=Hop.GATEWAY,
    what="The system's keyring keeps the keys, and it is open.",
    meaning="No passphrase is needed.",
)
