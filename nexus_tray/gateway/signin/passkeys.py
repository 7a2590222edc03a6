"""Passkeys, judged: where one may count, which question is open, whether an answer is right.

Owns the open challenges, in memory only, and every check of WebAuthn Level 3 (7.1, 7.2) that is
not the store's. Imports the gateway's values and routes; py_webauthn is imported when an answer is
first checked that names a passkey of ours, or when one is added (14 MB with what it needs,
measured). `Challenges` runs on the gateway's loop; the rest is pure, and for a thread.

A passkey is asked to verify its user, by fingerprint or PIN, so it stands for the password and the
second factor together. It counts at one host name, its RP ID, exactly: a page of a host below that
name may ask for it in the browser, but then names its own origin, which is refused here.
"""

import base64
import hmac
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nexus_tray.gateway.http import DoorKind, Visitor
from nexus_tray.gateway.routes import Lead, Table
from nexus_tray.store.places import network

LASTS = 300.0
"""Seconds that a challenge is good: WebAuthn 3, 15.1, for keys that verify their user."""
MOST = 4096
MOST_OF_ONE = 8
"""Challenges that are open at once, of all and of one address: who asks for more loses his own."""
_CHALLENGE_BYTES = 32
_LONGEST_ID = 1023
# A name in two parts or more whose last is no number: no address, no port, no single label.
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?!\d+$)[a-z0-9-]{2,63}")


class Doubt(Exception):
    """An answer that is not right; `why` is for the trail, not for the visitor."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class NewKey:
    """What an authenticator made."""

    credential_id: bytes
    public_key: bytes
    counter: int


@dataclass(frozen=True)
class Open:
    """A question that waits for its answer. `about`: what its asker kept with it."""

    challenge: bytes
    host: str
    about: str
    address: str
    asked_at: float


def stable_host(visitor: Visitor, table: Table) -> str | None:
    """The host name at which a passkey may count, or None: this is no place for one.

    Only a name that its owner has led to OpenCode through a tunnel that keeps it: a quick tunnel's
    changes, and then belongs to somebody else; the local door has no TLS; the local network's door
    is reached by addresses.
    """
    door = visitor.door
    if door.kind is not DoorKind.TUNNEL or door.holds_events or visitor.preview is not None:
        return None
    routes = table.get(door.name)
    if routes is None or routes.hosts.get(visitor.host) is not Lead.OPENCODE:
        return None
    return visitor.host if _NAME.fullmatch(visitor.host) else None


class Challenges:
    """The open questions: each for one asker, once, for some minutes. `monotonic` in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._open: OrderedDict[str, Open] = OrderedDict()
        self._askers: dict[str, list[str]] = {}

    def ask(self, asker: str, host: str, address: str, about: str = "") -> bytes:
        """A new challenge for that asker; the one he had is void."""
        now, place = self._monotonic(), network(address)
        self._drop(asker)
        while self._open and now - next(iter(self._open.values())).asked_at >= LASTS:
            self._drop(next(iter(self._open)))
        if len(self._askers.get(place, ())) >= MOST_OF_ONE:
            self._drop(self._askers[place][0])
        if len(self._open) >= MOST:
            self._drop(next(iter(self._open)))
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        self._open[asker] = Open(challenge, host, about, place, now)
        self._askers.setdefault(place, []).append(asker)
        return challenge

    def take(self, asker: str, host: str) -> Open | None:
        """Use his challenge up: it is gone, whatever comes of it (WebAuthn 3, 13.4.3). None: he has
        none that is good at this host now."""
        found = self._drop(asker)
        if found is None or found.host != host or self._monotonic() - found.asked_at >= LASTS:
            return None
        return found

    def __len__(self) -> int:
        return len(self._open)

    def _drop(self, asker: str) -> Open | None:
        found = self._open.pop(asker, None)
        if found is not None:
            self._askers[found.address].remove(asker)
            if not self._askers[found.address]:
                del self._askers[found.address]
        return found


def creation_options(
    challenge: bytes, host: str, machine: str, handle: bytes, held: Iterable[bytes]
) -> dict[str, Any]:
    """What the browser is to ask an authenticator for a new passkey (WebAuthn 3, 5.4). `held`:
    credentials that there are, so that no authenticator makes a second one."""
    from webauthn import generate_registration_options
    from webauthn.helpers import options_to_json_dict, structs

    options = generate_registration_options(
        rp_id=host,
        rp_name="Nexus Tray",
        user_id=handle,
        user_name=machine,
        challenge=challenge,
        timeout=int(LASTS * 1000),
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(id=one) for one in held],
    )
    return options_to_json_dict(options)


def request_options(challenge: bytes, host: str) -> dict[str, Any]:
    """What the browser is to ask an authenticator for when signing in (WebAuthn 3, 5.5). No
    credential is named: strangers need not know which there are (14.6.3)."""
    return {
        "challenge": _written(challenge),
        "timeout": int(LASTS * 1000),
        "rpId": host,
        "allowCredentials": [],
        "userVerification": "required",
    }


def named(answer: str) -> bytes:
    """The credential that an answer says it comes from. Raises Doubt."""
    try:
        key = json.loads(answer)["id"]
        found = _read(key)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Doubt("malformed") from error
    if not 0 < len(found) <= _LONGEST_ID:
        raise Doubt("malformed")
    return found


def check_new(answer: str, challenge: bytes, host: str) -> NewKey:
    """A new passkey, if it was made for this challenge at this host by a verified user (WebAuthn
    3, 7.1). Raises Doubt."""
    from webauthn import verify_registration_response

    try:
        _refuse_frames(answer)
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=host,
            expected_origin=f"https://{host}",
            require_user_verification=True,
        )
    except Exception as error:  # foreign bytes: whatever its parsers raise, it is a refusal
        raise Doubt(_told(error)) from error
    if len(made.credential_id) > _LONGEST_ID:  # 7.1 step 25
        raise Doubt("malformed")
    return NewKey(made.credential_id, made.credential_public_key, made.sign_count)


def check_use(answer: str, challenge: bytes, host: str, public_key: bytes, handle: bytes) -> int:
    """The authenticator's counter, if this answers the challenge at this host, signed by that key
    for a verified user (WebAuthn 3, 7.2). Raises Doubt. Whether the counter may be that, the store
    judges, for only it can do so once for many at once."""
    from webauthn import verify_authentication_response

    try:
        _refuse_frames(answer)
        _refuse_others(answer, handle)
        used = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=host,
            expected_origin=f"https://{host}",
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:  # as above
        raise Doubt(_told(error)) from error
    return used.new_sign_count


def _refuse_frames(answer: str) -> None:
    """Made in a frame of another site's page (7.1 step 9, 7.2 step 13): ours are never framed."""
    data = json.loads(_read(json.loads(answer)["response"]["clientDataJSON"]))
    if data.get("crossOrigin", False) is not False or "topOrigin" in data:
        raise Doubt("it was made in another site's frame")


def _refuse_others(answer: str, handle: bytes) -> None:
    """It must say for whom it is (7.2 step 6), for nobody has been named before."""
    said = json.loads(answer)["response"].get("userHandle")
    if not isinstance(said, str) or not hmac.compare_digest(_read(said), handle):
        raise Doubt("it is for somebody else")


def _told(error: Exception) -> str:
    """What the trail says of it. The library's words for what it compared may quote the visitor;
    the trail makes them plain and short."""
    return error.why if isinstance(error, Doubt) else str(error) or type(error).__name__


def _read(text: object) -> bytes:
    """Base64url without padding. Raises ValueError."""
    if not isinstance(text, str) or re.fullmatch(r"[A-Za-z0-9_-]*", text) is None:
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
