"""The Access page: who can come in, who is in, what happened; and the end of all of it."""

import dataclasses
import time

import msgspec
import pytest
from playwright.sync_api import Page, expect

from nexus_tray.commands import (
    BeginSecondFactor,
    ClearPassword,
    ConfirmSecondFactor,
    CreateToken,
    EndAllSessions,
    EndPairings,
    EndSession,
    NewPairing,
    Panic,
    RemoveSecondFactor,
    RenameDevice,
    RenewRecoveryCodes,
    RevokePasskey,
    RevokeToken,
    SetPassword,
)
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import Access, PairingEntry
from nexus_tray.store.audit import AuditEvent
from tests.api.doubles import until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.house import ADDRESS, DOORS, entrances, found
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window


class Doors:
    """What the page is told; changed by the test while it is open."""

    def __init__(self, house: Refusing) -> None:
        self.now = entrances(time.time())
        house.reports = dataclasses.replace(
            house.reports,
            access=lambda: self.now,
            audit=lambda query: found(self.now, query),
        )

    def change(self, **changes: object) -> None:
        self.now = msgspec.structs.replace(self.now, **changes)


@pytest.fixture
def doors(house: Refusing) -> Doors:
    """Named before `desk` by each test: its server takes what the house reports as it starts."""
    return Doors(house)


def devices(page: Page) -> list[str]:
    return page.get_by_role("region", name="Signed-in devices").locator("li b").all_inner_texts()


def test_it_is_for_everybody_in_either_theme_and_any_width(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    expect(page.get_by_role("region", name="What happened at the doors")).to_be_visible()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.get_by_role("button", name="End all access…").click()
    axe_finds_nothing(page)
    doors.now = Access(password=False)
    page.keyboard.press("Escape")
    expect(page.get_by_text("No password is set")).to_be_visible(timeout=15_000)
    axe_finds_nothing(page)


def test_who_is_in_is_said_in_words_with_the_exact_time_at_hand(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    assert doors.now.password
    expect(page.get_by_text("3 devices are signed in.")).to_be_visible()
    row = page.get_by_role("listitem").filter(has=page.get_by_text("Safari on iPhone", exact=True))
    first = row.first
    for words in (
        "from outside", "203.0.113.7", "signed in 2 h ago", "ends in 5 d", "DE",
        "by password and code", "144 kB in, 9 MB out",
    ):  # fmt: skip
        expect(first).to_contain_text(words)
    exact: str = first.locator("time").nth(1).get_attribute("title") or ""
    assert time.strftime("%Y", time.localtime(doors.now.devices[0].signed_in_at)) in exact
    # what a visitor calls himself acts on nothing
    assert devices(page)[2] == "<img src=x onerror=alert(1)>\\u202e evil"


def test_one_device_is_signed_out(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    page.get_by_role("button", name="Sign out Chrome on Pixel 9, 2001:db8::7f").click()
    until(lambda: desk.house.came == [EndSession(id="dev-2")])
    doors.change(devices=(doors.now.devices[0], doors.now.devices[2]))
    expect(page.get_by_text("Chrome on Pixel 9", exact=True)).to_have_count(0, timeout=15_000)
    expect(page.get_by_role("heading", name="Signed-in devices")).to_be_focused()


def test_a_device_that_is_gone_already_is_said(doors: Doors, desk: Desk) -> None:
    reason = Reason(code="no-such-device", hop=Hop.DEVICE, what="No such device is signed in.")
    desk.house.refusals[EndSession] = Problem(reason)
    page = desk.open("/access")
    page.get_by_role("button", name="Sign out Safari on iPhone").click()
    expect(page.get_by_role("alert")).to_contain_text("No such device is signed in.")


def test_everybody_is_signed_out_after_a_question(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    everybody = page.get_by_role("button", name="Sign out everybody")
    everybody.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert desk.house.came == []
    everybody.click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out everybody").click()
    until(lambda: desk.house.came == [EndAllSessions()])
    doors.change(devices=())
    # read again at the latest with the next look, which comes every 5 s
    expect(page.get_by_text("No device is signed in.")).to_be_visible(timeout=15_000)
    expect(everybody).to_have_count(0)


def test_the_password_is_set_and_removed_here(doors: Doors, desk: Desk) -> None:
    doors.change(password=False, second_factor=False, passkeys=())
    page = desk.open("/access")
    expect(page.get_by_text("No password is set, so there is no remote access.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove")).to_have_count(0)
    page.get_by_label("New password for remote access").fill("four unrelated words here")
    doors.change(password=True)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_text("Whoever knows the password can sign in.")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    until(lambda: len(desk.house.came) == 2)
    assert [type(one) for one in desk.house.came] == [SetPassword, ClearPassword]


def test_another_password_needs_the_present_one(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    page.get_by_label("New password for remote access").fill("four unrelated words here")
    button = page.get_by_role("button", name="Set password")
    expect(button).to_have_attribute("aria-disabled", "true")
    page.get_by_label("The present password").fill("the one before")
    button.click()
    until(lambda: bool(desk.house.came))
    assert desk.house.came == [
        SetPassword(password="four unrelated words here", current="the one before")
    ]


def test_a_device_is_renamed_by_keys_alone(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    page.get_by_role("button", name="Rename Chrome on Pixel 9").press("Enter")
    field = page.get_by_label("Name of the device")
    expect(field).to_be_focused()
    expect(field).to_have_value("Chrome on Pixel 9")
    page.keyboard.type("Ada’s phone")
    page.keyboard.press("Enter")
    until(lambda: desk.house.came == [RenameDevice(id="dev-2", name="Ada’s phone")])


LINK = f"{ADDRESS}/_nexus/pair#abc-_0123456789abcdefghij"


def test_a_phone_is_paired_by_a_code_that_says_when_it_was_used(doors: Doors, desk: Desk) -> None:
    desk.house.values[NewPairing] = LINK
    page = desk.open("/access?pair")
    expect(page.get_by_label("Name of the phone")).to_be_focused()
    page.get_by_label("Name of the phone").fill("Pixel")
    page.get_by_label("Password for remote access, once more").fill("the password")
    now = time.time()
    host = ADDRESS.removeprefix("https://")
    entry = PairingEntry(id="p", host=host, name="Pixel", made_at=now, expires_at=now + 600)
    doors.change(pairings=(entry,))
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("img", name="QR code of the pairing link")).to_be_visible()
    assert desk.house.came == [NewPairing(current="the password", address=ADDRESS, name="Pixel")]
    assert "abc-_0123456789" not in page.content()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    paired = msgspec.structs.replace(
        doors.now.devices[1], id="dev-9", name="Pixel \u202e", signed_in_at=now
    )
    doors.change(pairings=(), devices=(*doors.now.devices, paired))
    expect(page.get_by_text("Pixel \\u202e is paired", exact=True)).to_be_visible(timeout=15_000)


def test_a_pairing_link_is_voided(doors: Doors, desk: Desk) -> None:
    desk.house.values[NewPairing] = LINK
    page = desk.open("/access")
    page.get_by_role("button", name="Pair a phone…").click()
    page.get_by_label("Password for remote access, once more").fill("the password")
    page.get_by_role("button", name="Make the link").click()
    page.get_by_role("region", name="Pair a phone").get_by_role("button", name="Cancel").click()
    until(lambda: desk.house.came[1:] == [EndPairings()])
    expect(page.get_by_role("heading", name="Pair a phone")).to_be_focused()


def test_a_wrong_password_makes_no_link(doors: Doors, desk: Desk) -> None:
    what = "That is not the password for remote access. Nothing was changed."
    refused = Problem(Reason(code="step-up-wrong", hop=Hop.GATEWAY, what=what))
    desk.house.refusals[NewPairing] = refused
    page = desk.open("/access?pair")
    field = page.get_by_label("Password for remote access, once more")
    field.fill("wrong")
    page.get_by_role("button", name="Make the link").click()
    expect(page.get_by_role("alert")).to_contain_text(what)
    expect(field).to_have_value("")


URI = "otpauth://totp/Nexus%20Tray:desk?secret=JBSWY3DPEHPK3PXP&issuer=Nexus%20Tray"


def test_a_second_factor_is_set_up_by_a_code_and_a_check(doors: Doors, desk: Desk) -> None:
    doors.change(second_factor=False, recovery_codes=0)
    desk.house.values |= {BeginSecondFactor: URI, ConfirmSecondFactor: "aaaa-bbbb\ncccc-dddd"}
    page = desk.open("/access")
    box = page.get_by_role("region", name="Second factor")
    box.get_by_role("button", name="Turn on…").click()
    box.get_by_label("Password for remote access, once more").fill("the password")
    box.get_by_role("button", name="Go on").click()
    expect(box.get_by_role("img", name="QR code for the authenticator")).to_be_visible()
    expect(box.get_by_text("JBSW Y3DP EHPK 3PXP")).to_be_visible()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    box.get_by_label("The code it shows now").fill("123 456")
    doors.change(second_factor=True, recovery_codes=2)
    box.get_by_role("button", name="Turn on").click()
    expect(box.get_by_text("cccc-dddd")).to_be_visible()
    expect(box.get_by_text("2 recovery codes are left. Make new ones")).to_be_visible()
    axe_finds_nothing(page)
    box.get_by_role("button", name="I have kept them").click()
    expect(box.get_by_text("cccc-dddd")).to_have_count(0)
    assert desk.house.came == [
        BeginSecondFactor(current="the password"), ConfirmSecondFactor(code="123 456"),
    ]  # fmt: skip


def test_a_second_factor_is_turned_off_and_codes_are_renewed(doors: Doors, desk: Desk) -> None:
    desk.house.values[RenewRecoveryCodes] = "eeee-ffff"
    page = desk.open("/access")
    box = page.get_by_role("region", name="Second factor")
    box.get_by_role("button", name="New recovery codes…").click()
    box.get_by_label("Password for remote access, once more").fill("pw")
    box.get_by_role("button", name="Make new ones").click()
    expect(box.get_by_text("eeee-ffff")).to_be_visible()
    box.get_by_role("button", name="I have kept them").click()
    box.get_by_role("button", name="Turn off…").click()
    box.get_by_label("Password for remote access, once more").fill("pw")
    doors.change(second_factor=False)
    box.get_by_role("button", name="Turn off").click()
    expect(box.get_by_role("button", name="Turn on…")).to_be_visible()
    assert desk.house.came == [RenewRecoveryCodes(current="pw"), RemoveSecondFactor(current="pw")]


def test_a_token_is_made_shown_once_and_revoked(doors: Doors, desk: Desk) -> None:
    desk.house.values[CreateToken] = "nx_" + "a" * 43
    page = desk.open("/access")
    box = page.get_by_role("region", name="API tokens")
    expect(box.get_by_text("Never used")).to_be_visible()
    box.get_by_role("button", name="New token…").click()
    box.get_by_label("What it is for").fill("ci")
    box.get_by_label("What it may do").select_option("read")
    box.get_by_label("How long it is good").select_option("7")
    box.get_by_label("Password for remote access, once more").fill("pw")
    box.get_by_role("button", name="Make the token").click()
    expect(box.get_by_text("nx_" + "a" * 43)).to_be_visible()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    box.get_by_role("button", name="I have kept it").click()
    expect(box.get_by_text("nx_" + "a" * 43)).to_have_count(0)
    box.get_by_role("button", name="Revoke laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    until(lambda: len(desk.house.came) == 2)
    assert desk.house.came == [
        CreateToken(current="pw", name="ci", scope="read", days=7), RevokeToken(id="tok-1"),
    ]  # fmt: skip


def test_a_passkey_is_shown_with_its_place_and_revoked(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    box = page.get_by_role("region", name="Passkeys")
    row = box.get_by_role("listitem").filter(has=page.get_by_text("Ada’s phone", exact=True))
    for words in ("at code.example.com", "Added 1 d ago", "used 2 h ago"):
        expect(row).to_contain_text(words)
    expect(box.get_by_text("never used")).to_be_visible()
    box.get_by_role("button", name="Revoke Ada’s phone, at code.example.com").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    until(lambda: bool(desk.house.came))
    assert desk.house.came == [RevokePasskey(id="key-1")]
    expect(
        page.get_by_text("has the second factor, or holds a passkey, can sign in")
    ).to_be_visible()
    doors.change(passkeys=doors.now.passkeys[1:])
    expect(box.get_by_text("Ada’s phone")).to_have_count(0, timeout=15_000)
    expect(page.get_by_role("heading", name="Passkeys")).to_be_focused()


def test_a_list_that_would_keep_somebody_out_is_asked_about(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    field = page.get_by_label("Only from these countries")
    field.fill("NL")
    field.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Those from DE cannot come in any more.")
    dialog.get_by_role("button", name="Cancel").click()
    assert desk.house.settings.read().settings.access.allow_countries == ()
    field.fill("NL DE")
    field.press("Enter")
    until(lambda: desk.house.settings.read().settings.access.allow_countries == ("NL", "DE"))
    doors.change(countries=())
    page.reload()
    field = page.get_by_label("Not from these countries")
    field.fill("BR")
    field.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("No visitor’s country has been told")
    page.get_by_role("dialog").get_by_role("button", name="Set it").click()
    until(lambda: desk.house.settings.read().settings.access.deny_countries == ("BR",))


def test_panic_says_before_what_it_ends_and_after_how_to_come_back(
    doors: Doors,
    desk: Desk,
) -> None:
    page = desk.open("/access")
    page.get_by_role("button", name="End all access…").click()
    dialog = page.get_by_role("dialog", name="End all access now?")
    for words in (
        "every tunnel", "every signed-in device", "every API token", "this one too",
        "OpenCode goes on working", "nexus-tray start quick", "nexus-tray dashboard",
    ):  # fmt: skip
        expect(dialog).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert desk.house.came == []
    page.get_by_role("button", name="End all access…").click()
    dialog.get_by_role("button", name="End all access").click()
    until(lambda: desk.house.came == [Panic()])
    after = page.get_by_role("dialog", name="All access is ended")
    expect(after).to_contain_text("nexus-tray start quick")
    # this page ends too, and the way back stays in sight
    desk.server._tickets.void_all()
    expect(page.get_by_text("This page’s access has ended.")).to_be_visible()
    expect(after).to_be_visible()


def test_an_incomplete_panic_says_what_is_open_still(
    doors: Doors,
    desk: Desk,
) -> None:
    what = "Not all access could be ended. The disk is full."
    desk.house.refusals[Panic] = Problem(
        Reason(code="panic-incomplete", hop=Hop.GATEWAY, what=what)
    )
    page = desk.open("/access")
    page.get_by_role("button", name="End all access…").click()
    page.get_by_role("dialog").get_by_role("button", name="End all access").click()
    expect(page.get_by_role("alert")).to_contain_text(what)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_trail_is_in_words_newest_first_and_can_be_searched(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    trail = page.get_by_role("region", name="What happened at the doors")
    rows = trail.get_by_role("listitem")
    expect(rows).to_have_count(len(doors.now.trail))
    expect(trail.get_by_role("status")).to_have_text("100 entries, newest first.")
    first = rows.first.inner_text()
    assert "Sign-in failed" in first
    assert "A stranger" in first
    assert "192.0.2.77" in first
    trail.get_by_role("searchbox").fill("wrong 192.0.2")
    expect(rows).to_have_count(1)  # they say the same, one after another
    expect(rows).to_contain_text("13 times")
    expect(trail.get_by_role("status")).to_contain_text("13 matches")
    trail.get_by_role("searchbox").fill("")
    trail.get_by_label("Which events").select_option("What was changed")
    expect(rows.first).to_contain_text("Password set")
    expect(rows).to_have_count(36)
    trail.get_by_role("searchbox").fill("nowhere at all")
    expect(rows).to_have_count(0)
    expect(trail.get_by_role("status")).to_have_text("Nothing matches.")


def test_the_trail_is_paged_folded_and_exported(doors: Doors, desk: Desk) -> None:
    one = doors.now.trail[0]
    knock = {"event": "denied", "text": "asked for a host name that leads nowhere"}
    rows = [
        msgspec.structs.replace(one, id=400 - n, at=one.at - n, **(knock if 5 <= n < 25 else {
            "text": f"row {n}"})) for n in range(250)
    ]  # fmt: skip
    doors.change(trail=tuple(rows))
    page = desk.open("/access")
    trail = page.get_by_role("region", name="What happened at the doors")
    listed = trail.get_by_role("listitem")
    expect(listed).to_have_count(100 - 19)
    expect(trail.get_by_text("20 times")).to_be_visible()
    expect(trail.get_by_role("status")).to_contain_text("The newest 100 entries")
    trail.get_by_role("button", name="Older").click()
    expect(listed).to_have_count(200 - 19)
    # what comes meanwhile is put on top, and moves nothing
    doors.change(trail=(msgspec.structs.replace(one, id=401, text="just now"), *rows))
    expect(trail.get_by_text("just now")).to_be_visible(timeout=15_000)
    expect(listed).to_have_count(201 - 19)
    trail.get_by_role("button", name="Older").click()
    expect(listed).to_have_count(251 - 19)
    expect(trail.get_by_role("button", name="Older")).to_have_count(0)
    trail.get_by_role("searchbox").fill("nowhere")
    expect(listed).to_have_count(1)
    trail.get_by_label("Format of the export").select_option("CSV")
    with page.expect_download() as download:
        trail.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "nexus-tray-audit.csv"
    text = download.value.path().read_text(encoding="utf-8")
    assert text.count("leads nowhere") == 20
    assert "row 1" not in text


def test_every_event_has_words_of_its_own(doors: Doors, desk: Desk) -> None:
    entry = doors.now.trail[0]
    events = [*map(str, AuditEvent), "of-a-later-version"]
    doors.change(
        trail=tuple(
            msgspec.structs.replace(entry, id=number, event=event, text="")
            for number, event in reversed(list(enumerate(events, 1)))
        )
    )
    page = desk.open("/access")
    expect(page.locator(".trail li")).to_have_count(len(events))
    said = page.locator(".trail .state").all_inner_texts()
    assert [
        (event, words)
        for event, words in zip(reversed(events), said, strict=True)
        if event == words
    ] == [("of-a-later-version", "of-a-later-version")]


def test_it_follows_what_happens_and_keeps_focus_and_typing(doors: Doors, desk: Desk) -> None:
    page = desk.open("/access")
    search = page.get_by_role("searchbox")
    search.fill("safari")
    search.press("ArrowLeft")
    doors.change(devices=doors.now.devices[:1])
    expect(page.get_by_text("1 device is signed in.")).to_be_visible(timeout=8000)
    expect(search).to_be_focused()
    expect(search).to_have_value("safari")
    assert search.evaluate("e => e.selectionStart") == len("safari") - 1


def test_a_key_leads_here(doors: Doors, desk: Desk) -> None:
    page = desk.open()
    page.keyboard.press("a")
    expect(page.locator("h1")).to_have_text("Access")
    assert {device.door for device in doors.now.devices} == set(DOORS)
