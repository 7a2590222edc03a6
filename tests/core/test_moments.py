"""Times to come: when a pause is over, and how that is said."""

import time

import pytest

from nexus_tray.core.moments import MORNING, Span, end_of, moment

NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("span", "seconds"), [(Span.QUARTER, 900.0), (Span.HOUR, 3600.0), (Span.OPEN, None)]
)
def test_a_span_is_counted_from_now(span: Span, seconds: float | None) -> None:
    assert end_of(span, NOW) == (None if seconds is None else NOW + seconds)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("hour", range(0, 24, 5))
@pytest.mark.parametrize("month", [1, 3, 10])
def test_tomorrow_is_the_next_days_morning_in_every_zone(
    monkeypatch: pytest.MonkeyPatch, zone: str, hour: int, month: int
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for day in range(1, 29):
            now = time.mktime((2026, month, day, hour, 30, 0, 0, 0, -1))
            end = end_of(Span.TOMORROW, now)
            assert end is not None
            then = time.localtime(end)
            assert (then.tm_hour, then.tm_min, then.tm_sec) == (MORNING, 0, 0)
            assert then.tm_mday == day + 1
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("after", "form"), [(900, "%H:%M"), (11 * 3600, "%H:%M"), (3 * 86400, "{day} %b, %H:%M")]
)
def test_a_moment_to_come_names_its_day_where_it_must(after: float, form: str) -> None:
    at = time.localtime(1_795_000_000.0 + after)
    assert moment(1_795_000_000.0 + after, 1_795_000_000.0) == time.strftime(
        form.format(day=at.tm_mday), at
    )
