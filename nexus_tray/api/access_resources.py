"""The resources of the local API that concern who may come in from outside, and how.

Owns their handlers and ACCESS_ROUTES, a part of the one table in `resources`. Like those, each
handler is one question to Backend. Imports layer 1 and Backend; runs in the request's thread.
What is secret in an answer (a token, recovery codes, a link) is given once and never again.
"""

from nexus_tray.api.routes import Answer, Call, Route, submit
from nexus_tray.api.shapes import (
    Code,
    CurrentPassword,
    DeviceName,
    NewPairingLink,
    NewToken,
    Password,
    PauseUntil,
)
from nexus_tray.commands import (
    BeginSecondFactor,
    ClearPassword,
    ConfirmSecondFactor,
    CreateToken,
    EndAllSessions,
    EndPairings,
    EndSession,
    NewPairing,
    Panic,
    Pause,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    Resume,
    RevokePasskey,
    RevokeToken,
    SetPassword,
)
from nexus_tray.model import to_json
from nexus_tray.reports import Access


def read_access(call: Call) -> Answer:
    """Who is signed in, and what happened lately at the door."""
    return Answer(to_json(call.backend.access()))


def set_password(call: Call) -> Answer:
    """Set the password for remote access; ends everything that was let in before."""
    return submit(call, SetPassword(password=call.body.password, current=call.body.current))


def clear_password(call: Call) -> Answer:
    """Remove the password: remote access ends at once."""
    return submit(call, ClearPassword())


def begin_second_factor(call: Call) -> Answer:
    """Begin to set up one-time codes; the outcome's value is for the authenticator."""
    return submit(call, BeginSecondFactor(current=call.body.current))


def confirm_second_factor(call: Call) -> Answer:
    """Show that the authenticator works; the outcome's value is the recovery codes."""
    return submit(call, ConfirmSecondFactor(code=call.body.code))


def remove_second_factor(call: Call) -> Answer:
    """Sign in by password alone again."""
    return submit(call, RemoveSecondFactor(current=call.body.current))


def renew_recovery_codes(call: Call) -> Answer:
    """Make new recovery codes; the old ones are void."""
    return submit(call, RenewRecoveryCodes(current=call.body.current))


def make_pairing(call: Call) -> Answer:
    """Make a one-time link that signs in one phone; the outcome's value is the link."""
    body: NewPairingLink = call.body
    return submit(call, NewPairing(current=body.current, address=body.address, name=body.name))


def end_pairings(call: Call) -> Answer:
    """Void every pairing link that was not used yet."""
    return submit(call, EndPairings())


def create_token(call: Call) -> Answer:
    """Make an API token; the outcome's value is the token."""
    body: NewToken = call.body
    return submit(
        call,
        CreateToken(current=body.current, name=body.name, scope=body.scope, days=body.days),
    )


def revoke_token(call: Call) -> Answer:
    """Void an API token; what is open with it ends at once."""
    return submit(call, RevokeToken(id=call.path["id"]))


def revoke_passkey(call: Call) -> Answer:
    """Take a passkey away; whoever came in with it is signed out at once."""
    return submit(call, RevokePasskey(id=call.path["id"]))


def rename_device(call: Call) -> Answer:
    """Call a signed-in device something else."""
    return submit(call, RenameDevice(id=call.path["id"], name=call.body.name))


def end_session(call: Call) -> Answer:
    """Sign out one device; its open streams end at once."""
    return submit(call, EndSession(id=call.path["id"]))


def end_all_sessions(call: Call) -> Answer:
    """Sign out every device."""
    return submit(call, EndAllSessions())


def pause(call: Call) -> Answer:
    """Close remote access for a while; OpenCode goes on."""
    return submit(call, Pause(until_at=call.body.until_at))


def resume(call: Call) -> Answer:
    """End a pause."""
    return submit(call, Resume())


def panic(call: Call) -> Answer:
    """End all access now; the outcome's value says what was done and how to come back."""
    return submit(call, Panic())


ACCESS_ROUTES: tuple[Route, ...] = (
    Route("GET", "/access", read_access, answers=Access),
    Route("PUT", "/password", set_password, body=Password),
    Route("DELETE", "/password", clear_password),
    Route("POST", "/second-factor", begin_second_factor, body=CurrentPassword),
    Route("PUT", "/second-factor/confirmation", confirm_second_factor, body=Code),
    Route("POST", "/second-factor/removals", remove_second_factor, body=CurrentPassword),
    Route("POST", "/second-factor/recovery-codes", renew_recovery_codes, body=CurrentPassword),
    Route("POST", "/pairings", make_pairing, body=NewPairingLink),
    Route("DELETE", "/pairings", end_pairings),
    Route("POST", "/tokens", create_token, body=NewToken),
    Route("DELETE", "/tokens/{id}", revoke_token),
    Route("DELETE", "/passkeys/{id}", revoke_passkey),
    Route("PUT", "/sessions/{id}/name", rename_device, body=DeviceName),
    Route("DELETE", "/sessions/{id}", end_session),
    Route("DELETE", "/sessions", end_all_sessions),
    Route("PUT", "/pause", pause, body=PauseUntil),
    Route("DELETE", "/pause", resume),
    Route("POST", "/panic", panic),
)
