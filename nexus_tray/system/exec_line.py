"""A command as one line: in desktop entries, systemd units and the Windows registry.

All quote with double quotes and give characters of their own a meaning, each in its way;
a path with a space, a quote or a percent sign must come back as it was. Pure functions;
imports nothing of ours; any thread.

Sources: Desktop Entry Specification 1.5, "The Exec key" and "Values"; systemd.service(5),
"Command lines"; systemd.unit(5), "Specifiers".
"""

import re
from collections.abc import Sequence


def to_desktop(argv: Sequence[str]) -> str:
    """`argv` as the value of a desktop entry's Exec key. Raises ValueError for line breaks."""
    quoted = (_quoted(_plain(part), '"`$\\') for part in argv)
    # The value is a string first (backslashes doubled), then a command line with field codes.
    return " ".join(quoted).replace("\\", "\\\\").replace("%", "%%")


def from_desktop(value: str) -> list[str]:
    """The command in an Exec key's value; its field codes (`%u`) are left out."""
    parts = split(value.replace("\\\\", "\\"))
    return [part.replace("%%", "%") for part in parts if not _is_field_code(part)]


def to_systemd(argv: Sequence[str]) -> str:
    """`argv` as the value of a unit's ExecStart. Raises ValueError for line breaks."""
    quoted = (_quoted(_plain(part), '"\\') for part in argv)
    return " ".join(quoted).replace("%", "%%").replace("$", "$$")


def from_systemd(value: str) -> list[str]:
    """The command in an ExecStart that `to_systemd` wrote."""
    return [part.replace("$$", "$").replace("%%", "%") for part in split(value)]


def from_windows(line: str) -> list[str]:
    """The command in a Run key. Paths there hold no quotes, and backslashes are themselves."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)]


def split(line: str) -> list[str]:
    """Words of a line, in double quotes or without; a backslash takes the next character."""
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    characters = iter(line)
    for character in characters:
        if character == "\\":
            word = [*(word or []), next(characters, "")]
        elif character == '"':
            quoted, word = not quoted, word or []
        elif character.isspace() and not quoted:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = [*(word or []), character]
    return words if word is None else [*words, "".join(word)]


def _is_field_code(part: str) -> bool:
    return len(part) == 2 and part[0] == "%" and part[1] != "%"


def _quoted(part: str, special: str) -> str:
    escaped = "".join("\\" + c if c in special else c for c in part)
    return f'"{escaped}"'


def _plain(part: str) -> str:
    if any(c in part for c in "\r\n\x00"):
        raise ValueError("a command line cannot hold line breaks")
    return part
