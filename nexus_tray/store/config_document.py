"""From the bytes of `config.json` to Settings, and every way in which that may fail.

Owns decoding, the table of migrations, the merge patch (RFC 7396) and the words for a
wrong value: which setting, what stands there, what is allowed. All pure functions over
values, for any thread; the disk is `store.config`'s. Imports the model and the settings.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.settings import SCHEMA_VERSION, Settings

Migration = Callable[[dict[str, Any]], dict[str, Any]]

RESERVED = frozenset(("opencode", "gateway", "local", "network", "nexus-tray"))
"""Services, doors and log sources of ours: no tunnel may have their names."""

# Settings are three levels deep; what nests deeper cannot be one.
_DEPTH_LIMIT = 16
_SHOWN_LIMIT = 60


def _first_schema(document: dict[str, Any]) -> dict[str, Any]:
    """0 -> 1: a file without a version, such as one written by hand, is of the first schema."""
    return document


def _second_schema(document: dict[str, Any]) -> dict[str, Any]:
    """1 -> 2: `access.idle_minutes` could be set for a while in which nothing closed by it. What
    it holds was never in force, so nobody shall find it in force by a newer program alone."""
    access = document.get("access")
    if not isinstance(access, dict):
        return document
    return {**document, "access": {k: v for k, v in access.items() if k != "idle_minutes"}}


# MIGRATIONS[n] turns a document of version n into one of n + 1. Each is pure, and stays
# as it is once released: the files it was written for never change either.
MIGRATIONS: tuple[Migration, ...] = (_first_schema, _second_schema)


def parse(data: bytes) -> dict[str, Any]:
    """The document in a file's bytes. Raises Problem "config-damaged" with line and column."""
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(_damaged(_place(data, str(error)))) from error
    if not isinstance(document, dict):
        raise Problem(_damaged("it holds no object { ... }"))
    return document


def version_of(document: Mapping[str, Any]) -> int:
    """The schema version that a document says it has; none is 0.

    Raises Problem "config-newer" above ours, which nothing of ours may then overwrite.
    """
    version = document.get("version", 0)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise Problem(_wrong("version", version, f"a whole number from 0 to {SCHEMA_VERSION}"))
    if version > SCHEMA_VERSION:
        raise Problem(
            Reason(
                code="config-newer",
                hop=Hop.GATEWAY,
                what=f"The settings were written by a newer Nexus Tray (schema {version}, "
                f"this one knows {SCHEMA_VERSION}).",
                meaning="Starting with them could lose what the newer one added, so they are "
                "left as they are.",
                cure="Start the newer version again, or move the file of settings away.",
            )
        )
    return version


def migrate(
    document: dict[str, Any], migrations: tuple[Migration, ...] = MIGRATIONS
) -> dict[str, Any]:
    """The document in today's schema. The one given is not changed."""
    for version in range(version_of(document), len(migrations)):
        document = {**migrations[version](document), "version": version + 1}
    return document


def merged(target: Any, patch: object, depth: int = 0) -> Any:
    """RFC 7396, section 2: objects merge, null removes, everything else replaces."""
    if depth > _DEPTH_LIMIT:
        raise Problem(_wrong("", "...", f"at most {_DEPTH_LIMIT} levels of nesting"))
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value, depth + 1)
    return result


def decode(document: object) -> Settings:
    """The settings in a document of today's schema. Raises Problem "config-invalid"."""
    _check(document, {"$ref": "#/$defs/Settings"}, "")
    try:
        settings = msgspec.convert(document, Settings)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        # The check above should have said it better; msgspec is the one that decides.
        raise Problem(_wrong("", "...", str(error))) from error
    if settings.version != SCHEMA_VERSION:
        raise Problem(_wrong("version", settings.version, f"{SCHEMA_VERSION}, and is not yours"))
    names = [tunnel.name for tunnel in settings.tunnels]
    for place, name in enumerate(names):
        if name in RESERVED:
            raise Problem(_wrong(f"tunnels[{place}].name", name, "a name that nothing else has"))
        if name in names[:place]:
            raise Problem(_wrong(f"tunnels[{place}].name", name, "a name no other tunnel has"))
    return settings


def encode(settings: Settings) -> bytes:
    """The file's bytes: JSON for people, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(settings), indent=2) + b"\n"


def builtins(settings: Settings) -> dict[str, Any]:
    """The settings as a document of plain objects, lists and values."""
    document: dict[str, Any] = msgspec.to_builtins(settings)
    return document


@functools.cache
def _schemas() -> dict[str, Any]:
    schemas: dict[str, Any] = msgspec.json.schema(Settings)["$defs"]
    return schemas


def _check(value: object, schema: dict[str, Any], path: str) -> None:
    """Find the first value that the schema does not allow, and say so by its path."""
    if "$ref" in schema:
        schema = _schemas()[schema["$ref"].rsplit("/", 1)[1]]
    if not _fits(value, schema):
        raise Problem(_wrong(path, value, allowed(schema)))
    if isinstance(value, dict):
        _check_object(value, schema, path)
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check(item, schema["items"], f"{path}[{place}]")


def _check_object(value: dict[Any, Any], schema: dict[str, Any], path: str) -> None:
    known = schema["properties"]
    for key, item in value.items():
        below = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise Problem(_unknown(below, path, known))
        _check(item, known[key], below)
    for key in schema["required"]:
        if key not in value:
            below = f"{path}.{key}" if path else key
            raise Problem(_wrong(below, None, allowed(known[key])))


def _fits(value: object, schema: dict[str, Any]) -> bool:
    """Does this one value, leaving what is inside it aside, suit the schema?"""
    if "enum" in schema:
        return isinstance(value, str) and value in schema["enum"]
    match schema.get("type"):
        case "integer":
            low, high = schema.get("minimum", value), schema.get("maximum", value)
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str) and _plain(value) and _matches(schema, value)
        case "array":
            return isinstance(value, list | tuple)
        case _:
            return isinstance(value, dict)


def _matches(schema: dict[str, Any], text: str) -> bool:
    return "pattern" not in schema or re.search(schema["pattern"], text) is not None


def _plain(text: str) -> bool:
    """No control characters (a name that ends in a newline, SECURITY.md 32), no half characters."""
    return not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text)


def allowed(schema: Mapping[str, Any]) -> str:
    """What a setting of this JSON schema may be, in words."""
    if "enum" in schema:
        return "one of: " + ", ".join(schema["enum"])
    match schema.get("type"):
        case "integer" if "minimum" in schema and "maximum" in schema:
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "integer":
            return "a whole number"
        case "boolean":
            return "true or false"
        case "string" if "description" in schema:
            return str(schema["description"])
        case "string" if "pattern" in schema:
            return f"a text of the form {schema['pattern']}"
        case "string":
            return "a text without control characters"
        case "array":
            return "a list [ ... ]"
        case _:
            return "an object { ... }"


def _place(data: bytes, error: str) -> str:
    """Where the decoder stopped, as an editor counts: lines and columns from 1."""
    found = re.search(r"\(byte (\d+)\)", error)
    if found is None:
        return "it ends too early" if "truncated" in error else error
    before = data[: int(found.group(1))]
    column = len(before) - (before.rfind(b"\n") + 1) + 1
    return f"line {before.count(10) + 1}, column {column} is not JSON"


def _damaged(where: str) -> Reason:
    return Reason(
        code="config-damaged",
        hop=Hop.GATEWAY,
        what=f"The settings cannot be read: {where}.",
    )


def _wrong(path: str, value: object, may_be: str) -> Reason:
    return Reason(
        code="config-invalid",
        hop=Hop.GATEWAY,
        what=f"The setting {path or '(all)'} cannot be {_shown(value)}.",
        meaning="The settings in force are unchanged.",
        cure=f"It may be {may_be}.",
    )


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = "a number this long"
    return text if len(text) <= _SHOWN_LIMIT else text[:_SHOWN_LIMIT] + "..."


def _unknown(path: str, section: str, known: Mapping[str, Any]) -> Reason:
    names = ", ".join(known)
    return Reason(
        code="config-invalid",
        hop=Hop.GATEWAY,
        what=f"There is no setting {path[:_SHOWN_LIMIT]!r}.",
        meaning="The settings in force are unchanged.",
        cure=f"{section or 'The settings'} may have: {names}.",
    )
