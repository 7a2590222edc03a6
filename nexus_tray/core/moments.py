"""Times to come, as people here say them: until 14:30, until tomorrow.

Owns how long a pause from a menu or a command line is. Pure but for the machine's time
zone; no clock: `now_at` comes as an argument (epoch seconds, as every `*_at`). Any thread.
"""

import time
from datetime import datetime, timedelta
from enum import StrEnum

HALF_DAY = 12 * 3600.0
MORNING = 6
"""The hour at which tomorrow begins, for whoever closes access for the night."""


class Span(StrEnum):
    """The pauses that are offered everywhere."""

    QUARTER = "15m"
    HOUR = "1h"
    TOMORROW = "tomorrow"
    OPEN = "open"


SPAN_WORDS = {
    Span.QUARTER: "15 minutes",
    Span.HOUR: "1 hour",
    Span.TOMORROW: f"Until tomorrow, {MORNING}:00",
    Span.OPEN: "Until I resume",
}


def end_of(span: Span, now_at: float) -> float | None:
    """When a pause that begins now is over; None: when it is ended by hand."""
    match span:
        case Span.QUARTER:
            return now_at + 900.0
        case Span.HOUR:
            return now_at + 3600.0
        case Span.TOMORROW:
            return tomorrow(now_at)
        case Span.OPEN:
            return None


def tomorrow(now_at: float) -> float:
    """The next calendar day's morning, by this machine's time zone."""
    day = datetime.fromtimestamp(now_at).date() + timedelta(days=1)  # noqa: DTZ006 - local is meant
    return datetime(day.year, day.month, day.day, MORNING).timestamp()  # noqa: DTZ001


def moment(at: float, now_at: float) -> str:
    """A time to come: "14:30", with the day where that could be unclear."""
    then, now = time.localtime(at), time.localtime(now_at)
    near = then[:3] == now[:3] or at - now_at < HALF_DAY
    return time.strftime("%H:%M" if near else f"{then.tm_mday} %b, %H:%M", then)
