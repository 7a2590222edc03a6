"""The card of the local network's door, in a real browser over the real local API."""

import time

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from nexus_tray.app.network_words import TRUST, away
from nexus_tray.reports import NetworkDoor
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window
from tests.dashboard.tunnel_house import Told, settle, tunnels

URL = "https://192.0.2.7:8443/"
PRINT = ":".join(["AB"] * 32)
PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ADDRESSES = (("eth0", "192.0.2.7"), ("wlan0", "2001:db8::7"))


@pytest.fixture
def told(house: Refusing) -> Told:
    tunnels(house, time.time())
    made = settle(house)
    stand(made, NetworkDoor(addresses=ADDRESSES))
    return made


def stand(told: Told, door: NetworkDoor) -> None:
    told.report = msgspec.structs.replace(told.report, network=door)


def opened() -> NetworkDoor:
    return NetworkDoor(
        url=URL, addresses=ADDRESSES, authority=PEM, fingerprint=PRINT,
        not_after_at=time.time() + 300 * 86_400, trust=TRUST,
    )  # fmt: skip


def card(page: Page) -> Locator:
    return page.get_by_role("region", name="The local network", exact=True)


def shown(desk: Desk) -> Locator:
    found = card(desk.open("/tunnels"))
    expect(found.get_by_label("Let the local network in")).to_be_visible()
    return found


def test_it_is_off_and_says_who_can_reach_it_before_it_opens(told: Told, desk: Desk) -> None:
    door = shown(desk)
    expect(door.locator(".state")).to_have_text("Off")
    expect(door).to_contain_text("Whoever is in the same network can reach the sign-in page.")
    expect(door).to_contain_text("firewall may block it: allow TCP port 8443")
    door.get_by_label("Address", exact=True).select_option("192.0.2.7")
    expect(desk.page.locator(".toast")).to_contain_text("Saved: address.")
    switch = door.get_by_label("Let the local network in")
    switch.click()
    dialog = desk.page.get_by_role("dialog")
    expect(dialog).to_contain_text("only the password keeps it out")
    dialog.get_by_role("button", name="Cancel").click()
    expect(switch).not_to_be_checked()
    assert not desk.house.settings.read().settings.network.enabled
    stand(told, opened())
    switch.click()
    desk.page.get_by_role("dialog").get_by_role("button", name="Open it").click()
    expect(door.locator(".state")).to_have_text("Open")
    expect(switch).to_be_checked()
    network = desk.house.settings.read().settings.network
    assert (network.enabled, network.address, network.port) == (True, "192.0.2.7", 8443)
    switch.click()
    expect(switch).not_to_be_checked()
    expect(door.locator(".state")).to_have_text("Off")


def test_its_settings_are_checked_while_they_are_typed(told: Told, desk: Desk) -> None:
    door = shown(desk)
    names = door.get_by_label("Further names")
    names.fill("desk.lan UPPER")
    expect(door).to_contain_text("“UPPER” is not a host name")
    names.fill("desk.lan agent.home.arpa")
    names.press("Enter")
    expect(desk.page.locator(".toast")).to_contain_text("Saved: further names.")
    port = door.get_by_label("Port", exact=True)
    port.fill("9443")
    port.press("Enter")
    expect(desk.page.locator(".toast")).to_contain_text("Saved: port.")
    network = desk.house.settings.read().settings.network
    assert (network.names, network.port) == (("desk.lan", "agent.home.arpa"), 9443)
    desk.page.get_by_role("button", name="Undo").click()
    expect(port).to_have_value("8443")
    assert told.report.network.url is None


def test_devices_are_told_how_to_trust_it(told: Told, desk: Desk) -> None:
    desk.house.settings.update({"network": {"enabled": True, "address": "192.0.2.7"}}, None)
    stand(told, opened())
    door = shown(desk)
    expect(door.get_by_role("link", name=URL)).to_be_visible()
    expect(door).to_contain_text(PRINT)
    expect(door).to_contain_text("renewed by itself 30 days before")
    door.get_by_text("iPhone and iPad").click()
    expect(door).to_contain_text("Certificate Trust Settings, switch it on")
    door.get_by_text("A certificate of your own").click()
    axe_finds_nothing(desk.page)
    nothing_is_wider_than_the_window(desk.page)
    with desk.page.expect_download() as waiting:
        door.get_by_role("button", name="Download the authority’s certificate").click()
    assert waiting.value.suggested_filename == "nexus-tray-authority.crt"
    assert waiting.value.path().read_text() == PEM


def test_why_it_is_shut_is_said(told: Told, desk: Desk) -> None:
    desk.house.settings.update({"network": {"enabled": True, "address": "198.51.100.4"}}, None)
    stand(told, NetworkDoor(addresses=ADDRESSES, reason=away("198.51.100.4")))
    door = shown(desk)
    expect(door.locator(".state")).to_have_text("Shut")
    expect(door).to_contain_text("does not have the address 198.51.100.4 now")
    expect(door.get_by_label("Address", exact=True)).to_contain_text("not here now")
