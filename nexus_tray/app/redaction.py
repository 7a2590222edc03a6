"""What a support bundle must not tell, taken out of any text: the same thing always by the same
name, so that one can still follow what happened.

Owns the rules. Hidden are secrets that are known here (in every spelling), whatever looks like
one, what stands where secrets stand (`password=`, `Cookie:`), private keys, people's addresses,
the user's and the machine's name, the home folder, host names and addresses that are not
Cloudflare's or this machine's own loopback. Rather one thing too many: a bundle is for strangers.
Imports `finding`; pure but for the numbering; one thread at a time.
"""

import base64
import ipaddress
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from nexus_tray.finding import HIDDEN, masked

SHORTEST = 6
"""Characters; what is shorter cannot be searched for without hitting ordinary words."""

_IN_PLACE = re.compile(
    r"""(?ix) (?P<name> \b [\w-]{0,40}? (?: passw(?:or)?d | passphrase | secret | token
        | api[-_]?key | private[-_]?key | credentials? ) (?:\\*["'])? \s* (?: = | : ) \s* )
        (?P<value> (?P<mark>\\+["']) .{0,4000}? (?P=mark)
        | "(?:\\.|[^"\\])*" | '[^']*' | [^\s,;&"'}\])]+ )"""
)
_HEADER = re.compile(
    r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization)(\\?[\"']?\s*[:=]\s*)[^\r\n]+"
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/])(?=[A-Za-z0-9+/]*[0-9])(?=[A-Za-z0-9+/]*[A-Z])(?=[A-Za-z0-9+/]*[a-z])"
    r"[A-Za-z0-9+/]{40,}={0,2}"
)
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@(?=[\w-]+(?:\.[\w-]+)+)[\w.-]+\w")
_V4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_V6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])", re.IGNORECASE)
_HOST = re.compile(
    r"(?P<before>(?:://|@|host(?:name)?[\"']?\s*[:=]\s*[\"']?)?)"
    r"(?<![\w.-])(?P<name>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24})(?![\w-])",
    re.IGNORECASE,
)

_ENDINGS = frozenset((
    "com", "net", "org", "info", "biz", "dev", "app", "cloud", "online", "site", "xyz", "shop",
    "store", "tech", "page", "blog", "club", "link", "live", "space", "website", "work",
    "works", "world", "zone", "email", "network", "systems", "services", "solutions", "studio",
    "digital", "agency", "design", "media", "name", "pro", "edu", "gov", "mil", "int", "local",
    "lan", "home", "internal", "corp", "intranet", "arpa", "test", "example", "invalid",
    "onion",
))  # fmt: skip
"""Endings of host names, besides all of two letters; other dotted words are names of programs."""
_FILES = frozenset((
    "py", "js", "ts", "md", "sh", "rs", "go", "so", "db", "gz", "cc", "hh", "pl", "rb", "ps",
    "vb", "cs",
))  # fmt: skip
_KNOWN = (
    "cloudflare.com", "argotunnel.com", "cftunnel.com", "api.trycloudflare.com",
    "cloudflareresearch.com", "github.com", "githubusercontent.com", "npmjs.org", "npmjs.com",
    "opencode.ai", "models.dev", "python.org", "freedesktop.org", "example.com",
)  # fmt: skip
"""Public services that everybody's program speaks to; which one failed matters."""
_EDGE = tuple(
    ipaddress.ip_network(net)
    for net in ("198.41.192.0/19", "2606:4700:a0::/44", "1.1.1.1/32", "8.8.8.8/32")
)
_COMMON = frozenset(("root", "user", "admin", "administrator", "home", "nobody", "localhost"))


class Redactor:
    """Redacts one bundle; what it meets is numbered in the order of meeting."""

    def __init__(
        self, home: str, user: str, machine: str, secrets: Iterable[str], hosts: Iterable[str]
    ) -> None:
        self._home = home.rstrip("/\\")
        self._names: dict[tuple[str, str], str] = {}
        found = {spelling for secret in secrets for spelling in _spellings(secret)}
        self._secrets = sorted(found, key=len, reverse=True)
        self._own = frozenset(name.lower() for name in hosts if name)
        for name in sorted(self._own):
            self._named("host", name)
        self._people = [
            (_word(name), given)
            for name, given in ((user, "user"), (machine, "this-computer"))
            if len(name) >= 3 and name.lower() not in _COMMON
        ]

    def text(self, text: str) -> str:
        """The text without any of it."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _PEM.sub("(a key or certificate)", text)
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
        text = _IN_PLACE.sub(_without_value, text)
        text = self._without_home(text)
        text = _EMAIL.sub(lambda found: self._named("person", found[0].lower()), text)
        text = _HOST.sub(self._host, text)
        text = _V6.sub(self._address, _V4.sub(self._address, text))
        for pattern, given in self._people:
            text = pattern.sub(given, text)
        return _BASE64.sub(HIDDEN, masked(text, self._home))

    def _without_home(self, text: str) -> str:
        """The home folder in the spellings of addresses; plain it is `masked`'s."""
        if len(self._home) < 2:
            return text
        for spelling in (quote(self._home, safe=""), self._home.replace("\\", "\\\\")):
            if spelling != self._home:
                text = re.sub(re.escape(spelling), "~", text, flags=re.IGNORECASE)
        # OpenCode's addresses name a folder in base64; what is certain of it is searched for.
        raw = self._home.encode()
        certain = base64.urlsafe_b64encode(raw).decode().rstrip("=")[: len(raw) * 8 // 6]
        return re.sub(rf"{re.escape(certain)}[\w+/=-]*", "(folder)", text)

    def _host(self, found: re.Match[str]) -> str:
        name, before = found["name"].lower(), found["before"]
        if _is_within(name, _KNOWN):
            return found[0]
        ending = name.rpartition(".")[2]
        address = bool(before) and not before.endswith(" ")
        looks = ending in _ENDINGS or (len(ending) == 2 and ending not in _FILES)
        if not (address or looks or name in self._own or name.endswith(".trycloudflare.com")):
            return found[0]
        return before + self._named("host", name)

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        if address.is_loopback or address.is_unspecified or any(address in net for net in _EDGE):
            return found[0]
        return self._named("address", str(address))

    def _named(self, kind: str, what: str) -> str:
        known = self._names.get((kind, what))
        if known is None:
            number = sum(one == kind for one, _ in self._names) + 1
            known = self._names[kind, what] = f"{kind}-{number}"
        return known


def _without_value(found: re.Match[str]) -> str:
    """A place for secrets keeps what is none: yes, no, nothing, a number of little use."""
    value = found["value"].strip("\\\"'")
    return found[0] if value in ("true", "false", "null", "None", "") else found["name"] + HIDDEN


def _spellings(secret: str) -> set[str]:
    """The secret as it is, and as addresses, JSON, hexadecimal and base64 would have it."""
    if len(secret) < SHORTEST:
        return set()
    raw = secret.encode(errors="replace")
    found = {secret, quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], raw.hex()}
    for before in (b"", b"opencode:"):
        for encoded in (base64.b64encode(before + raw), base64.urlsafe_b64encode(before + raw)):
            found.add(encoded.decode().rstrip("="))
    return found


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", re.IGNORECASE)


def _is_within(name: str, domains: Iterable[str]) -> bool:
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)
