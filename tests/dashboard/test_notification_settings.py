"""The notifications' settings on the page: levels to choose from, times checked while typed."""

from playwright.sync_api import expect

from nexus_tray.settings import NotificationSettings
from tests.api.doubles import until
from tests.dashboard.conftest import Desk


def kept(desk: Desk) -> NotificationSettings:
    return desk.house.settings.read().settings.notifications


def test_levels_are_chosen_and_times_checked_while_typed(desk: Desk) -> None:
    page = desk.open("/settings")
    region = page.get_by_role("region", name="Notifications")
    level = region.get_by_label("What is told")
    expect(level).to_have_value("important")
    assert set(level.locator("option").all_inner_texts()) == {"off", "important", "all"}
    level.select_option("all")
    until(lambda: kept(desk).level == "all")
    begin, end = region.get_by_label("Quiet from"), region.get_by_label("Quiet until")
    begin.fill("25:00")
    wrong = page.locator("#notifications-quiet_from-wrong")
    expect(wrong).to_have_text("Wanted: a time such as 22:00, or nothing.")
    begin.press("Enter")
    assert kept(desk).quiet_from == ""
    begin.fill("22:00")
    expect(wrong).to_have_text("")
    begin.press("Enter")
    end.fill("07:00")
    end.press("Enter")
    until(lambda: (kept(desk).quiet_from, kept(desk).quiet_to) == ("22:00", "07:00"))
    begin.fill("")
    begin.press("Enter")
    until(lambda: kept(desk).quiet_from == "")
