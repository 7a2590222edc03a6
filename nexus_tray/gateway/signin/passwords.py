"""The password: what is accepted, how it is hashed, how many are verified at once.

Owns the rules for a new password (pure), Argon2id, and the queue before it. Imports the
model; argon2 only when first needed (3 MB). Hashing and verifying take a thread of
their own: one verification at a time (64 MiB each), eight waiting, the rest are told to
come back (SECURITY.md "Passwords"; 9: memory). `verify` belongs to the gateway's loop,
`make_hash` to any other thread.

Text is compared in Unicode's NFKC form (NIST SP 800-63B 5.1.1.2), so that the same
password typed on another keyboard is the same bytes.
"""

import asyncio
import collections
import functools
import re
import time
import unicodedata
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nexus_tray.model import Hop, Problem, Reason

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST_LENGTH = 12
# The sign-in form's body holds 1 KiB, in which a character may take twelve bytes.
MOST_ENCODED = 900
QUEUE = 8
_LEAST_DIFFERENT = 5

# Long enough, and yet among the first that are tried. Compared without case and marks.
_COMMON = frozenset(
    """
    1q2w3e4r5t6y 1qaz2wsx3edc administrator changemenow changemeplease computercomputer
    correcthorsebatterystaple donaldtrump football1234 iloveyou1234 iloveyouforever letmein12345
    letmeinletmein letmeinplease loveyouforever mypassword123 nopassword123 opensesame123
    passwordpassword princess1234 qazwsxedcrfv qwerty123456 qwertyqwerty qwertyuiop123
    qwertyuiopasdf secretpassword sunshine1234 superman1234 thisisapassword trustno1trustno1
    unbelievable welcome12345 whatever1234 zaq12wsxcde3 zxcvbnm12345
    """.split()  # noqa: SIM905 - a list to read, not to parse
)
# What is left of "Passw0rd2024!!" once digits, marks and look-alikes are taken off.
_STEMS = frozenset(
    """
    admin administrator changeme claude cloudflare default football gateway guest iloveyou
    letmein login master monkey nexus nexustray opencode password passwort princess qwerty
    qwertyuiop root secret sunshine superman test tray trustno tunnel user welcome
    """.split()  # noqa: SIM905 - a list to read, not to parse
)
_ONLY_STEMS = re.compile(f"(?:{'|'.join(sorted(_STEMS))})+")
_LOOKALIKES = str.maketrans("01345$@!|", "oleassail")
_ROWS = "01234567890123456789 abcdefghijklmnopqrstuvwxyz qwertyuiop asdfghjkl zxcvbnm"
_ROW_PIECE = 5


class Crowded(Exception):
    """Too many verifications wait already: answer 429."""


@dataclass(frozen=True)
class Strength:
    """How good a password is: `words` for the person, `score` 0 (refused) to 3."""

    score: int
    words: str


def normal(password: str) -> str:
    """The form that is hashed."""
    return unicodedata.normalize("NFKC", password)


def judge(password: str) -> Reason | None:
    """Why this cannot be the password, or None. No composition rules: length, and not known."""
    text = normal(password)
    if len(text) < LEAST_LENGTH:
        return _weak(f"The password has {len(text)} characters; it needs at least {LEAST_LENGTH}.")
    if len(urllib.parse.quote_plus(password)) > MOST_ENCODED:
        return _weak("The password is longer than the sign-in form can carry (about 900 letters).")
    if any(unicodedata.category(character) == "Cc" for character in text):
        return _weak("The password has characters that cannot be typed into a form.")
    if _guessable(text):
        return _weak("The password is among those that are tried first.")
    return None


def strength(password: str) -> Strength:
    """A hint while one is chosen. Rough on purpose; `judge` alone decides."""
    reason = judge(password)
    if reason is not None:
        return Strength(0, reason.what)
    text = normal(password)
    kinds = sum(bool(re.search(kind, text)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[\W_]"))
    worth = len(set(text)) + len(text) + 2 * kinds
    if worth < 28:
        return Strength(1, "Acceptable. A few more words would make it strong.")
    if worth < 44:
        return Strength(2, "Good.")
    return Strength(3, "Strong.")


def _guessable(text: str) -> bool:
    plain = "".join(text.casefold().split())
    if len(set(plain)) < _LEAST_DIFFERENT or plain in _COMMON or _repeats(plain):
        return True
    letters = plain.translate(_LOOKALIKES)
    stem = re.sub(r"[\W\d_]+", "", re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain).translate(_LOOKALIKES))
    return letters in _COMMON or bool(_ONLY_STEMS.fullmatch(stem)) or _is_made_of_rows(plain)


def _repeats(text: str) -> bool:
    """A short piece over and over: "abcabcabcabc"."""
    return any(
        len(text) % size == 0 and text == text[:size] * (len(text) // size)
        for size in range(1, min(LEAST_LENGTH, len(text) // 3 + 1))
    )


def _is_made_of_rows(text: str) -> bool:
    """All of it runs along the keyboard, the alphabet or the numbers, either way."""
    rows = f"{_ROWS} {_ROWS[::-1]}"
    at = 0
    while at < len(text):
        size = next((n for n in range(len(text) - at, 0, -1) if text[at : at + n] in rows), 0)
        if size < min(_ROW_PIECE, len(text) - at):
            return False
        at += size
    return True


def _weak(what: str) -> Reason:
    return Reason(
        code="password-weak",
        hop=Hop.GATEWAY,
        what=what,
        meaning="Whoever guesses it can run programs on this computer, so it was not set.",
        cure=f"Choose at least {LEAST_LENGTH} characters; four or five unrelated words are good.",
    )


class Passwords:
    """Argon2id with its thread and its queue. Close it when done.

    `waiting` counts verifications under way or queued. The numbers are SECURITY.md's;
    tests that are not about them pass cheaper ones.
    """

    def __init__(self, memory_kib: int = 64 * 1024, passes: int = 3, lanes: int = 4) -> None:
        self._numbers = (memory_kib, passes, lanes)
        self._thread = ThreadPoolExecutor(1, "nexus-password")
        self._took: collections.deque[float] = collections.deque(maxlen=16)
        self.waiting = 0

    @property
    def full(self) -> bool:
        """One is verified and eight wait: `verify` would raise Crowded."""
        return self.waiting > QUEUE

    def slowest(self) -> float:
        """The slowest of the last verifications, in seconds; 0 before the first."""
        return max(self._took, default=0.0)

    @functools.cached_property
    def _hasher(self) -> "PasswordHasher":
        import argon2

        memory, passes, lanes = self._numbers
        return argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=lanes)

    def make_hash(self, password: str) -> str:
        """The encoded hash of a new password; about 0.2 s. Raises Problem if it is too weak."""
        reason = judge(password)
        if reason is not None:
            raise Problem(reason)
        return self._hasher.hash(normal(password))

    async def verify(self, hashed: str, password: str) -> bool:
        """Whether this is the password. Raises Crowded when eight wait already.

        A caller that gives up meanwhile leaves its place taken until its turn is over, so
        that leaving early buys nobody a longer queue.
        """
        if self.full:
            raise Crowded
        self.waiting += 1
        loop = asyncio.get_running_loop()
        turn = loop.run_in_executor(self._thread, self._matches, hashed, password)
        turn.add_done_callback(self._leave)
        return await asyncio.shield(turn)

    def matches(self, hashed: str, password: str) -> bool:
        """As `verify`, for a thread that may wait; in the same turn, and never refused one."""
        return self._thread.submit(self._matches, hashed, password).result()

    def needs_rehash(self, hashed: str) -> bool:
        """The hash was made with other parameters than those in force."""
        return self._hasher.check_needs_rehash(hashed)

    async def rehashed(self, password: str) -> str:
        """The hash of a password that was just verified, under the parameters in force."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._hasher.hash, normal(password))

    def close(self) -> None:
        """End the thread after what it is at."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _leave(self, turn: "asyncio.Future[bool]") -> None:
        self.waiting -= 1
        if not turn.cancelled():
            turn.exception()  # told to whoever waits; if nobody does, asyncio need not complain

    def _matches(self, hashed: str, password: str) -> bool:
        import argon2

        began = time.perf_counter()
        try:
            return self._hasher.verify(hashed, normal(password))
        except argon2.exceptions.VerifyMismatchError:
            return False
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError) as error:
            raise Problem(
                Reason(
                    code="password-unreadable",
                    hop=Hop.GATEWAY,
                    what=f"The stored password cannot be read ({error}).",
                    meaning="Nobody can sign in from outside.",
                    cure="Set the password again: nexus-tray password set.",
                )
            ) from error
        finally:
            self._took.append(time.perf_counter() - began)
