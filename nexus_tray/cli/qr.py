"""A QR code on a terminal.

Owns how one is drawn: two modules to a character, dark on light whatever the terminal's own
colours are, for cameras want it so. segno is imported when the first one is drawn. Pure.
"""

BORDER = 2
"""Modules of quiet around it; ISO/IEC 18004 wants 4, cameras are content with 2 (and the
terminal's own margin)."""
_INK = "\x1b[30;107m"
_PLAIN = "\x1b[0m"
_HALVES = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def drawn(text: str) -> tuple[str, ...]:
    """The lines of the code of this text."""
    import segno

    code = segno.make_qr(text, error="m")
    rows = [tuple(row) for row in code.matrix_iter(border=BORDER)]
    if len(rows) % 2:
        rows.append((0,) * len(rows[0]))
    return tuple(
        _INK + "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) + _PLAIN
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )
