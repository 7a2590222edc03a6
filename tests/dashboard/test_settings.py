"""The settings in a real browser: saved at once, taken back, checked while typed."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from nexus_tray.commands import (
    ClearPassword,
    DeleteSecret,
    SetAutostart,
    SetPassword,
    SetSecret,
    Shutdown,
    UnlockSecrets,
)
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.settings import Settings
from tests.api.doubles import until
from tests.dashboard.conftest import Desk


def settings(desk: Desk) -> Settings:
    return desk.house.settings.read().settings


def ready(desk: Desk) -> Page:
    page = desk.open("/settings")
    expect(page.get_by_role("region", name="Logs")).to_be_visible()
    return page


def test_every_setting_is_there_with_its_meaning_and_default(desk: Desk) -> None:
    """From the settings' own shape, so that a new one cannot be forgotten."""
    page = ready(desk)
    listed = "found => found.map(e => e.id)"
    shown = page.locator(".setting [id]").evaluate_all(listed)
    page.get_by_role("link", name="Access").first.click()  # who may come in stands there
    expect(page.locator("#access-idle_minutes")).to_have_count(1)
    shown += page.locator(".setting [id^=access-]").evaluate_all(listed)
    ready(desk)
    for section in Settings.__struct_fields__:
        value = getattr(Settings(), section)
        if section == "version":
            continue
        if isinstance(value, tuple):
            # the others are made, or stand on the Tunnels page
            names = ["enabled", "transport"]
            assert {f"{section}-{value[0].name}-{name}" for name in names} <= set(shown)
        else:
            assert {f"{section}-{name}" for name in value.__struct_fields__} <= set(shown)
    about = page.locator("#logs-max_megabytes-about")
    expect(about).to_have_text(
        "The most that stored logs take on disk; the oldest go first. Default: 256."
    )
    for text in page.locator(".setting .dim").all_inner_texts():
        assert "`" not in text
        assert "undefined" not in text


def test_a_change_is_saved_at_once_and_can_be_undone(desk: Desk) -> None:
    page = ready(desk)
    folder = page.get_by_role("region", name="OpenCode").get_by_label("Folder")
    folder.fill("/srv/räume")
    folder.press("Enter")
    until(lambda: settings(desk).opencode.directory == "/srv/räume")
    expect(page.locator(".toast")).to_contain_text("Saved: OpenCode, folder.")
    page.get_by_role("button", name="Undo").click()
    until(lambda: settings(desk).opencode.directory == "")
    expect(folder).to_have_value("")


def test_what_cannot_be_is_said_while_typing_and_not_saved(desk: Desk) -> None:
    page = ready(desk)
    field = page.get_by_label("Most megabytes")
    for text, words in (("0", "At least 1."), ("x", "A whole number is wanted."),
                        ("10001", "At most 10000.")):  # fmt: skip
        field.fill(text)
        expect(page.locator("#logs-max_megabytes-wrong")).to_have_text(words)
        expect(field).to_have_attribute("aria-invalid", "true")
        field.press("Enter")
    assert settings(desk).logs.max_megabytes == 256
    field.press("Escape")
    expect(field).to_have_value("256")
    field.fill("300")
    expect(page.locator("#logs-max_megabytes-wrong")).to_have_text("")
    field.press("Tab")
    until(lambda: settings(desk).logs.max_megabytes == 300)


def test_a_tunnels_settings_are_its_own(desk: Desk) -> None:
    page = ready(desk)
    page.get_by_role("group", name="quick").get_by_label("Transport").select_option("http2")
    until(lambda: settings(desk).tunnels[0].transport == "http2")
    assert len(settings(desk).tunnels) == 1
    page.get_by_role("button", name="Undo").click()
    until(lambda: settings(desk).tunnels[0].transport == "auto")


def test_a_change_made_elsewhere_meanwhile_is_not_overwritten(desk: Desk) -> None:
    page = ready(desk)
    desk.house.settings.update({"logs": {"max_megabytes": 99}}, None)
    page.get_by_label("Local door’s port").fill("8080")
    page.get_by_label("Local door’s port").press("Enter")
    expect(page.get_by_role("region", name="Gateway").get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Most megabytes")).to_have_value("99")
    assert settings(desk).gateway.local_port == 0
    page.get_by_label("Local door’s port").fill("8081")
    page.get_by_label("Local door’s port").press("Enter")
    until(lambda: settings(desk).gateway.local_port == 8081)


def test_the_password_is_set_with_a_hint_and_removed(desk: Desk) -> None:
    page = desk.open("/settings?at=password")
    field = page.get_by_label("New password for remote access")
    expect(field).to_be_focused()
    assert field.get_attribute("type") == "password"
    hint = page.locator("#password-hint")
    field.fill("short")
    expect(hint).to_have_text("7 more characters.")
    field.press("Enter")
    assert desk.house.came == []
    field.fill("four unrelated wörds here")
    expect(hint).to_have_text("Strong.")
    page.get_by_label("The present password").fill("the one before")
    page.get_by_role("button", name="Set password").click()
    until(
        lambda: (
            desk.house.came
            == [SetPassword(password="four unrelated wörds here", current="the one before")]
        )
    )
    expect(field).to_have_value("")
    page.get_by_label("The present password").fill("the one before")
    weak = Reason(code="password-weak", hop=Hop.GATEWAY, what="It is among the first tried.")
    desk.house.refusals[SetPassword] = Problem(weak)
    field.fill("passwordpassword")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("among the first tried")
    expect(field).to_have_value("passwordpassword")
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    until(lambda: ClearPassword() in desk.house.came)


def test_a_provider_key_goes_in_and_never_comes_back(desk: Desk) -> None:
    page = ready(desk)
    page.get_by_label("Name of the environment variable").fill("ANTHROPIC_API_KEY")
    page.get_by_label("The key", exact=True).fill("sk-canary")
    page.get_by_role("button", name="Store", exact=True).click()
    until(lambda: desk.house.came == [SetSecret(name="ANTHROPIC_API_KEY", secret="sk-canary")])
    expect(page.get_by_label("The key", exact=True)).to_have_value("")
    assert "sk-canary" not in page.content()
    page.get_by_role("button", name="Forget the key of this name").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget").click()
    until(lambda: DeleteSecret(name="ANTHROPIC_API_KEY") in desk.house.came)


def test_without_a_keyring_it_asks_for_a_passphrase(desk: Desk) -> None:
    none = Reason(code="secrets-no-keyring", hop=Hop.OPENCODE, what="There is no keyring.")
    desk.house.refusals[SetSecret] = Problem(none)
    page = ready(desk)
    page.get_by_label("Name of the environment variable").fill("A_KEY")
    page.get_by_label("The key", exact=True).fill("sk-1")
    page.get_by_role("button", name="Store", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is no keyring.")
    page.get_by_label("Passphrase of the keys’ file").fill("open sesame")
    page.get_by_role("button", name="Open", exact=True).click()
    until(lambda: desk.house.came == [UnlockSecrets(passphrase="open sesame")])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_kept_in_this_browser(desk: Desk, theme: str) -> None:
    page = ready(desk)
    page.get_by_label("Theme").select_option(theme)
    colour = "getComputedStyle(document.body).backgroundColor"
    wanted = {"light": "rgb(246, 246, 243)", "dark": "rgb(20, 22, 25)"}[theme]
    assert page.evaluate(colour) == wanted
    page.reload()
    expect(page.get_by_label("Theme")).to_have_value(theme)
    assert page.evaluate(colour) == wanted


def test_start_at_login_is_read_and_set(desk: Desk) -> None:
    page = ready(desk)
    switch = page.get_by_label("Start at login")
    expect(switch).to_be_enabled()
    expect(switch).not_to_be_checked()
    switch.click()
    until(lambda: desk.house.came == [SetAutostart(enabled=True)])


def test_the_settings_are_copied_and_restored(desk: Desk, tmp_path: Path) -> None:
    page = ready(desk)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save a copy").click()
    copy = json.loads(Path(download.value.path()).read_text())
    assert copy["logs"]["max_megabytes"] == 256
    copy["logs"]["max_megabytes"] = 77
    file = tmp_path / "copy.json"
    file.write_text(json.dumps(copy))
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    until(lambda: settings(desk).logs.max_megabytes == 77)
    page.get_by_role("button", name="Undo").click()
    until(lambda: settings(desk).logs.max_megabytes == 256)
    file.write_text("no settings")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.get_by_role("region", name="Backup").get_by_role("alert")).to_be_visible()


def test_the_program_is_ended_only_after_a_question(desk: Desk) -> None:
    page = ready(desk)
    page.get_by_role("button", name="End", exact=True).click()
    assert desk.house.came == []
    page.get_by_role("dialog").get_by_role("button", name="End").click()
    until(lambda: desk.house.came == [Shutdown()])
