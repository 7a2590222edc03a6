"""The first page in a real browser: what it says, what its buttons do, how it stays true."""

import os
import time

import msgspec
import pytest
from playwright.sync_api import expect

from nexus_tray.api.tickets import MOST_SESSIONS
from nexus_tray.commands import (
    AnswerPermission,
    AnswerQuestion,
    OpenDoor,
    RestartService,
    StartService,
    StopService,
)
from nexus_tray.model import (
    Activity,
    Desired,
    Hop,
    HopState,
    Problem,
    Reason,
    ServiceState,
)
from nexus_tray.services.memory_cap import recycled, waits
from tests.api.doubles import until
from tests.dashboard.conftest import Desk
from tests.dashboard.house import (
    ADDRESS,
    BLOCKED,
    CHOICE,
    PERMISSION,
    broken,
    services,
    sessions,
    well,
)


def test_it_says_that_all_is_well_and_where(desk: Desk) -> None:
    page = desk.open()
    expect(page.locator("h1")).to_have_text("Reachable from anywhere")
    expect(page.get_by_role("link", name=ADDRESS)).to_have_attribute("href", ADDRESS)
    hops = page.locator(".hop")
    assert hops.count() == 5
    expect(hops.nth(1)).to_contain_text("4 connections over QUIC (fra08, ams13)")
    expect(hops.nth(4)).to_contain_text("OpenCode: well")
    opencode = page.get_by_role("region", name="OpenCode", exact=True)
    expect(opencode).to_contain_text("1 working, 1 waiting, 1 idle")
    expect(opencode).to_contain_text("334 MB")
    expect(page.get_by_role("region", name="What happened lately")).to_contain_text(
        "Tunnel “quick” cannot run: The network blocks the way to Cloudflare."
    )


def test_what_is_not_known_is_shown_as_not_known(desk: Desk) -> None:
    now = time.time()
    bare = tuple(msgspec.structs.replace(s, facts=type(s.facts)()) for s in services(now))
    well(desk.house, now, services=bare, activity=None, address=None)
    page = desk.open()
    tunnel = page.get_by_role("region", name="Tunnel “quick”")
    assert tunnel.locator("dd").all_inner_texts()[1:6] == ["—"] * 5
    expect(page.get_by_text("No address now.")).to_be_visible()
    expect(page.get_by_role("region", name="OpenCode sessions")).to_have_count(0)


def test_it_follows_what_happens_and_says_what_to_do(desk: Desk) -> None:
    page = desk.open()
    broken(desk.house, time.time())
    expect(page.locator("h1")).to_have_text(BLOCKED.what, timeout=2000)
    header = page.locator("header")
    expect(header).to_contain_text(BLOCKED.cure)
    expect(header).to_contain_text("Next try in 1")
    expect(page.locator(".hop").nth(1)).to_contain_text("broken")
    header.get_by_role("button", name="Try now").click()
    until(lambda: desk.house.came == [RestartService(name="quick")])
    desk.house.journal.note("The lamp is lit", "quick")
    expect(page.get_by_text("The lamp is lit")).to_be_visible()


def test_what_is_worth_knowing_of_what_runs_stands_at_its_service(desk: Desk) -> None:
    page, now = desk.open(), time.time()
    opencode = page.get_by_role("region", name="OpenCode", exact=True)
    for said in (waits(2**31 + 2**29, 2**31), recycled(2**31 + 2**29, 2**31)):
        seen = tuple(
            msgspec.structs.replace(one, notice=said) if one.name == "opencode" else one
            for one in services(now)
        )
        well(desk.house, now, services=seen)
        expect(opencode).to_contain_text(said.what)
        expect(opencode).to_contain_text(said.meaning)
        expect(page.locator("h1")).to_have_text("Reachable from anywhere")
    if folder := os.environ.get("NEXUS_TRAY_PICTURES"):
        page.screenshot(path=f"{folder}/notice.png", full_page=True)
    well(desk.house, now)
    expect(opencode).not_to_contain_text("memory, more than")


def test_services_are_started_stopped_and_restarted(desk: Desk) -> None:
    page = desk.open()
    gateway = page.get_by_role("region", name="Gateway", exact=True)
    assert gateway.get_by_role("button").all_inner_texts() == ["Restart"]
    page.get_by_role("button", name="Restart Gateway").click()
    until(lambda: desk.house.came == [RestartService(name="gateway")])

    page.get_by_role("button", name="Stop Tunnel “quick”").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Its address goes with it")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert len(desk.house.came) == 1

    page.get_by_role("button", name="Stop Tunnel “quick”").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Start Tunnel “quick”").click()
    until(lambda: len(desk.house.came) == 3)
    assert desk.house.came[1:] == [StopService(name="quick"), StartService(name="quick")]
    # A new wish came back as a new Snapshot, and the card shows it.
    expect(page.get_by_role("button", name="Stop Tunnel “quick”")).to_be_visible()


def test_stopping_a_working_opencode_says_what_is_cut_off(desk: Desk) -> None:
    page = desk.open()
    page.get_by_role("button", name="Stop OpenCode").click()
    expect(page.get_by_role("dialog")).to_contain_text("“Find out why the path test is slow”")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop OpenCode")).to_be_focused()
    assert desk.house.came == []


def test_a_refusal_is_shown_where_it_happened(desk: Desk) -> None:
    reason = Reason(code="no", hop=Hop.GATEWAY, what="It may not.", cure="Ask the moon.")
    desk.house.refusals[RestartService] = Problem(reason)
    page = desk.open()
    page.get_by_role("button", name="Restart Gateway").click()
    gateway = page.get_by_role("region", name="Gateway", exact=True)
    expect(gateway.get_by_role("alert")).to_contain_text("It may not.")
    expect(gateway.get_by_role("alert")).to_contain_text("Ask the moon.")
    desk.house.refusals.clear()
    page.get_by_role("button", name="Restart Gateway").click()
    expect(gateway.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(("button", "reply"), [("Reject", "reject"), ("Allow once", "once")])
def test_a_permission_is_answered(desk: Desk, button: str, reply: str) -> None:
    now = time.time()
    asked = msgspec.structs.replace(PERMISSION, detail="rm -rf /\n\x1b[2K\recho <b>hi</b>")
    well(desk.house, now, activity=Activity(sessions=sessions(now), questions=(asked,)))
    page = desk.open()
    group = page.get_by_role("group", name="OpenCode asks to run a command")
    assert group.locator("pre").inner_text() == "rm -rf /\n\\x1b[2K\\recho <b>hi</b>"
    expect(page.get_by_label("1 open questions")).to_be_visible()
    group.get_by_role("button", name=button).click()
    until(lambda: desk.house.came == [AnswerPermission(question_id="per_1", reply=reply)])
    well(desk.house, now)
    expect(group).to_have_count(0)


def test_always_is_asked_about_first(desk: Desk) -> None:
    well(desk.house, time.time(), activity=Activity(questions=(PERMISSION,)))
    page = desk.open()
    page.get_by_role("button", name="Always").click()
    assert desk.house.came == []
    page.get_by_role("dialog").get_by_role("button", name="Always allow").click()
    until(lambda: desk.house.came == [AnswerPermission(question_id="per_1", reply="always")])


def test_a_question_is_answered_with_choices_and_own_words(desk: Desk) -> None:
    well(desk.house, time.time(), activity=Activity(questions=(CHOICE,)))
    page = desk.open()
    answer = page.get_by_role("button", name="Answer")
    expect(answer).to_be_disabled()
    page.get_by_label("Blue").check()
    page.get_by_placeholder("Your own answer").fill("Rather red")
    page.get_by_label("Light").check()
    page.get_by_label("Dark").check()
    answer.click()
    wanted = AnswerQuestion(question_id="que_1", answers=(("Rather red",), ("Light", "Dark")))
    until(lambda: desk.house.came == [wanted])


def test_opencode_is_opened_by_a_one_time_link(desk: Desk) -> None:
    page = desk.open()
    with desk.context.expect_page() as opened:
        page.get_by_role("button", name="Open Räume auf: alte Protokolle ☂").click()
    until(lambda: bool(desk.house.came))
    [door] = desk.house.came
    assert isinstance(door, OpenDoor)
    assert door.path == "/L2hvbWUvYWRhL3NyYy9uZXh1cy10cmF5/session/ses_3"
    opened.value.close()


def test_the_address_is_copied_and_shown_as_a_code(desk: Desk) -> None:
    desk.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = desk.open()
    page.get_by_role("button", name="Copy the address").click()
    expect(page.get_by_role("button", name="Copy the address")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == ADDRESS
    page.get_by_role("button", name="QR code").click()
    code = page.get_by_role("img", name=f"QR code of {ADDRESS}")
    expect(code).to_be_visible()
    dark = code.locator("path").get_attribute("d") or ""
    assert dark.count("M") > 300
    page.get_by_role("dialog").get_by_role("button", name="Close").click()


def test_each_hop_tells_more_on_a_press(desk: Desk) -> None:
    page = desk.open()
    page.locator(".hop button").nth(3).click()
    expect(page.get_by_role("dialog")).to_contain_text("The only door.")


# -- the line to the program ---------------------------------------------------------------


def test_a_broken_line_is_said_and_comes_back_by_itself(desk: Desk) -> None:
    page = desk.open()
    hold = desk.context
    hold.set_offline(True)
    desk.server._server.hang_up()
    expect(page.get_by_text("Nexus Tray does not answer just now.")).to_be_visible()
    expect(page.locator("h1")).to_have_text("Reachable from anywhere")
    well(desk.house, time.time(), headline="Starting", state=HopState.BUSY)
    hold.set_offline(False)
    expect(page.locator("h1")).to_have_text("Starting")
    expect(page.get_by_text("does not answer")).to_have_count(0)


def test_a_page_that_fell_behind_gets_the_whole_truth(desk: Desk) -> None:
    page = desk.open()
    desk.context.set_offline(True)
    desk.server._server.hang_up()
    for number in range(1200):  # more than the journal keeps
        desk.house.journal.note(f"note {number}")
    well(desk.house, time.time(), headline="Quite another thing")
    desk.context.set_offline(False)
    expect(page.locator("h1")).to_have_text("Quite another thing")


def test_a_page_whose_access_has_ended_says_so_and_keeps_what_it_showed(desk: Desk) -> None:
    page = desk.open()
    for _ in range(MOST_SESSIONS):
        desk.server._tickets.redeem(desk.server._tickets.issue())
    desk.server._server.hang_up()
    # what was just being asked for may say so in its own place too
    alert = page.get_by_role("alert").filter(has_text="This page’s access has ended.")
    expect(alert).to_be_visible()
    expect(alert).to_contain_text("nexus-tray dashboard")
    expect(page.locator("h1")).to_have_text("Reachable from anywhere")
    page.reload()
    expect(page.get_by_text("It opens by a one-time link")).to_be_visible()
    page.goto(desk.server.invite("/settings"))
    expect(page.locator("h1")).to_have_text("Settings")
    expect(alert).to_have_count(0)


def test_a_program_that_ended_is_said(desk: Desk) -> None:
    page = desk.open()
    desk.server.stop()
    expect(page.get_by_text("Nexus Tray does not answer just now.")).to_be_visible()
    expect(page.get_by_text("What is shown is ")).to_be_visible()


def test_a_link_works_once_and_leaves_no_trace(desk: Desk) -> None:
    link = desk.server.invite("/logs")
    page = desk.page
    page.goto(link)
    expect(page.locator("h1")).to_have_text("Logs")
    assert page.url == f"{desk.server.url}/#/logs"
    assert "ticket" not in page.evaluate("history.state + location.href + document.cookie")
    other = desk.context.new_page()
    other.goto(link)
    expect(other.locator("h1")).to_have_text("This is Nexus Tray’s dashboard")
    expect(other.get_by_text("has been used, or is older than a minute")).to_be_visible()
    other.close()
    page.reload()
    expect(page.locator("h1")).to_have_text("Logs")


def test_without_a_ticket_it_tells_how_to_come_in(desk: Desk) -> None:
    desk.page.goto(desk.server.url)
    expect(desk.page.get_by_text("nexus-tray dashboard")).to_be_visible()


def test_tunnels_have_their_page(desk: Desk) -> None:
    page = desk.open("/tunnels")
    tunnel = page.get_by_role("region", name="Tunnel “quick”")
    expect(tunnel.get_by_role("link", name=ADDRESS)).to_be_visible()
    expect(tunnel).to_contain_text("fra08, ams13")
    now = time.time()
    *others, quick = services(now)
    stopped = msgspec.structs.replace(
        quick, state=ServiceState.STOPPED, desired=Desired.STOPPED, facts=type(quick.facts)()
    )
    well(desk.house, now, services=(*others, stopped), address=None)
    expect(tunnel).to_contain_text("A new address at each start.")
    expect(tunnel.get_by_role("button", name="Start")).to_be_visible()
