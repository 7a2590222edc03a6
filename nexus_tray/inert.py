"""Foreign text made harmless before it is drawn: on a terminal, in a file, in a spreadsheet.

Owns one decision: which characters act instead of being shown. Log lines and session
titles come from programs and from the web, so they may hold escape sequences that retitle
a terminal, carriage returns that overwrite a line, or marks that reverse the direction of
reading (SECURITY.md 30). Pure; imports the standard library only; any thread.
"""

import csv
import io
import re
from collections.abc import Iterable

# C0 and C1 controls and DEL act on terminals (U+009B alone begins a control sequence);
# U+2028 and U+2029 end lines in some readers; the rest reorder or hide text, or are halves
# of surrogate pairs, which no encoder accepts.
_ACTING = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)

# With these first, spreadsheet programs compute a cell instead of showing it (OWASP, "CSV
# Injection"); the wide forms are taken for the narrow ones in East Asian locales.
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def inert(text: str) -> str:
    """`text` on one line, with every acting character spelled out, as in `\\x1b[31m`."""
    return _ACTING.sub(_spelled, text)


def cell(text: str) -> str:
    """`inert(text)` for a spreadsheet's cell: never a formula (SECURITY.md 31).

    A leading apostrophe tells spreadsheet programs that text follows.
    """
    begin = text.lstrip(" \u00a0\u3000")
    quoted = text.startswith(_FORMULA) or begin.startswith(_FORMULA)
    return ("'" if quoted else "") + inert(text)


def sheet_row(cells: Iterable[str]) -> str:
    """A line of a spreadsheet's file, every cell quoted (RFC 4180); each cell through `cell`."""
    sheet = io.StringIO()
    csv.writer(sheet, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return sheet.getvalue()


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {0x0A: "\\n", 0x0D: "\\r"}.get(code) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    )
