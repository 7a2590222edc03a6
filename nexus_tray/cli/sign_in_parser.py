"""`nexus-tray pair`, `token …`, `passkey …` and `second-factor …` as they are written.

Owns the texts of their --help. Pure; imports its own room only.
"""

import argparse
import re
from collections.abc import Callable
from typing import Any

from nexus_tray.cli import passkeys, sign_in
from nexus_tray.inert import inert

Verb = Callable[..., argparse.ArgumentParser]

ASKS = "asks for the password again"


def add_sign_in(nouns: Any, verb: Verb, group: Callable[[Any, str, str], Any]) -> None:
    """All of them, under `nouns`. `verb` makes a command, `group` a noun with verbs."""
    _add_pair(verb(nouns, "pair", sign_in.pair_or_cancel, f"pair a phone by a QR code; {ASKS}"))
    verbs = group(nouns, "token", "API tokens, for programs such as opencode attach")
    verb(verbs, "list", sign_in.tokens, "list them")
    create = verb(verbs, "create", sign_in.create_token, f"make one, shown once; {ASKS}")
    create.add_argument("name", metavar="NAME", help="what it is for")
    reading = "only look at sessions, messages and events"
    create.add_argument("--read-only", action="store_true", help=reading)
    days = "how long it is good (default 30)"
    create.add_argument("--days", metavar="N", type=_days, default=30, help=days)
    revoke = verb(verbs, "revoke", sign_in.revoke_token, "void one; what is open with it ends")
    revoke.add_argument("id", metavar="ID", help="as in the list")
    text = "passkeys; add them on a signed-in device, at the address they are to work at"
    verbs = group(nouns, "passkey", text)
    verb(verbs, "list", passkeys.passkeys, "list them")
    text = "take one away, and sign out who came in with it"
    revoke = verb(verbs, "revoke", passkeys.revoke_passkey, text)
    revoke.add_argument("id", metavar="ID", help="as in the list")
    verbs = group(nouns, "second-factor", "one-time codes of an authenticator, when signing in")
    verb(verbs, "status", sign_in.second_factor, "say whether it is on")
    verb(verbs, "on", sign_in.second_factor_on, f"set it up by a QR code and a check; {ASKS}")
    verb(verbs, "off", sign_in.second_factor_off, f"turn it off; {ASKS}")
    text = f"make new recovery codes, the old ones are void; {ASKS}"
    verb(verbs, "recovery-codes", sign_in.recovery_codes, text)


def _add_pair(pair: argparse.ArgumentParser) -> None:
    address = "by which of your addresses it comes (none: the public one)"
    pair.add_argument("--address", metavar="URL", default="", help=address)
    pair.add_argument("--name", metavar="NAME", default="", help="what the phone is to be called")
    pair.add_argument("--link", action="store_true", help="print the link only, without the code")
    pair.add_argument("--cancel", action="store_true", help="void the links not used yet")


def _days(text: str) -> int:
    number = int(text) if re.fullmatch(r"[0-9]{1,3}", text) else 0
    if not 1 <= number <= 365:
        raise argparse.ArgumentTypeError(f"a number of days from 1 to 365, not “{inert(text)}”")
    return number
