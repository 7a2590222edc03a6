"""The Tunnels page: how each stands, what can be done with it, and the jobs that do it."""

import time

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from nexus_tray.commands import (
    AnswerJob,
    CancelJob,
    DeleteTunnel,
    DismissJob,
    ForgetZone,
    ImportTunnel,
    Login,
    RestartService,
    RetryJob,
    SetTunnelToken,
    StopService,
)
from nexus_tray.model import Hop, JobState, Problem, Reason, StepState
from tests.api.doubles import until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.house import ADDRESS
from tests.dashboard.test_access import axe_finds_nothing, nothing_is_wider_than_the_window
from tests.dashboard.tunnel_house import (
    IMPORTABLE,
    LOGIN_LINK,
    ORIGIN,
    ZONE,
    Told,
    job,
    jobs,
    login,
    question,
    settle,
    steps,
    tunnels,
)

REFUSED = Problem(Reason(code="busy", hop=Hop.CLOUDFLARED, what="Something else is under way."))


@pytest.fixture
def furnished(house: Refusing) -> Told:
    """Named before `desk` by each test: its server takes what the house reports as it starts."""
    tunnels(house, time.time())
    return settle(house)


def opened(desk: Desk, path: str = "/tunnels") -> Page:
    page = desk.open(path)
    expect(page.get_by_role("region", name="Your domains at Cloudflare")).to_be_visible()
    return page


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=f"Tunnel “{name}”", exact=True)


def work(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def agree(page: Page, yes: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()


@pytest.mark.usefixtures("furnished")
def test_it_is_for_everybody_in_either_theme_and_any_width(desk: Desk) -> None:
    now = time.time()
    tunnels(desk.house, now, *jobs(now))
    page = opened(desk)
    for summary in page.locator("summary").all():
        summary.click()
    axe_finds_nothing(page)
    nothing_is_wider_than_the_window(page)
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.get_by_role("button", name="Add a host name to home").click()
    page.get_by_role("radio", name="Another service").check()
    page.get_by_role("button", name="New tunnel").click()
    for kind in ("From Cloudflare", "On your domain"):
        page.get_by_role("radio", name=kind).check()
        axe_finds_nothing(page)
        nothing_is_wider_than_the_window(page)
        page.evaluate("document.documentElement.style.fontSize = ''")
    page.get_by_role("button", name="Delete tunnel “home”").click()
    axe_finds_nothing(page)


@pytest.mark.usefixtures("furnished")
def test_each_tunnel_tells_how_it_stands_and_why(desk: Desk) -> None:
    page = opened(desk)
    home = card(page, "home")
    for words in (
        "named", "Running", "https://code.example.dev", "OpenCode and 2 more, behind sign-in",
        "4 · fra08, ams13", "QUIC", "84 ms", "1 d 1 h",
    ):  # fmt: skip
        expect(home).to_contain_text(words)
    expect(home.get_by_text("Proved")).to_be_visible()
    quick = card(page, "quick")
    expect(quick.get_by_role("link", name=ADDRESS)).to_be_visible()
    expect(quick).to_contain_text("Not known yet")
    expect(quick).to_contain_text("HTTP/2")
    office = card(page, "office")
    for words in ("Failed", "The tunnel's token was refused.", "It may have been revoked",
                  "Enter a new token."):  # fmt: skip
        expect(office).to_contain_text(words)
    expect(card(page, "spare")).to_contain_text("A new address at each start.")
    href = home.get_by_role("link", name="Logs").get_attribute("href")
    assert href == "#/logs?source=home"
    quick.get_by_role("button", name="QR code").click()
    expect(page.get_by_role("dialog")).to_contain_text(ADDRESS)


@pytest.mark.usefixtures("furnished")
def test_an_address_that_keeps_changing_leads_to_one_that_stays(desk: Desk) -> None:
    page = opened(desk)
    quick = card(page, "quick")
    expect(quick).to_contain_text("changed 4 times within the last day")
    expect(quick).to_contain_text("each browser has to sign in, and each phone to pair, again")
    quick.get_by_role("button", name="Make one on your domain").click()
    expect(page.get_by_role("radio", name="On your domain")).to_be_checked()
    expect(page.get_by_role("heading", name="New tunnel")).to_be_focused()


@pytest.mark.usefixtures("furnished")
def test_stopping_says_what_ends(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Stop Tunnel “home”").click()
    expect(page.get_by_role("dialog")).to_contain_text("Its address stays the same.")
    agree(page, "Stop")
    until(lambda: desk.house.came == [StopService(name="home")])
    expect(card(page, "home").get_by_role("button", name="Start")).to_be_visible()
    page.get_by_role("button", name="Restart Tunnel “quick”").click()
    expect(page.get_by_role("dialog")).to_contain_text("the next start has a new one")
    agree(page, "Restart")
    until(lambda: desk.house.came[1:] == [RestartService(name="quick")])


@pytest.mark.usefixtures("furnished")
def test_deleting_names_what_goes_here_and_at_cloudflare(desk: Desk) -> None:
    page = opened(desk)
    delete = page.get_by_role("button", name="Delete tunnel “home”")
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete tunnel “home”?")
    for words in ("on this computer", "its credentials", "at Cloudflare", "code.example.dev"):
        expect(dialog).to_contain_text(words)
    page.keyboard.press("Escape")
    expect(delete).to_be_focused()
    assert desk.house.came == []
    delete.click()
    dialog.get_by_role("checkbox", name="Only here").check()
    agree(page, "Delete")
    until(lambda: desk.house.came == [DeleteTunnel(name="home", only_here=True)])
    page.get_by_role("button", name="Delete tunnel “office”").click()
    expect(page.get_by_role("dialog")).to_contain_text("nothing is changed")
    agree(page, "Delete")
    until(lambda: desk.house.came[1:] == [DeleteTunnel(name="office")])


def test_without_its_domain_a_tunnel_is_deleted_here_only(furnished: Told, desk: Desk) -> None:
    furnished.report = msgspec.structs.replace(furnished.report, zones=())
    page = opened(desk)
    page.get_by_role("button", name="Delete tunnel “home”").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("At Cloudflare it stays")
    expect(dialog.get_by_role("checkbox")).to_have_count(0)
    agree(page, "Delete")
    until(lambda: desk.house.came == [DeleteTunnel(name="home", only_here=True)])


@pytest.mark.usefixtures("furnished")
def test_a_refusal_stands_at_the_tunnel_it_is_about(desk: Desk) -> None:
    desk.house.refusals[DeleteTunnel] = REFUSED
    page = opened(desk)
    page.get_by_role("button", name="Delete tunnel “spare”").click()
    agree(page, "Delete")
    expect(card(page, "spare").get_by_role("alert")).to_contain_text("Something else is under way.")


# -- jobs ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("furnished")
def test_every_state_of_a_job_has_its_word_and_its_deeds(desk: Desk) -> None:
    now = time.time()
    tunnels(desk.house, now, *jobs(now))
    page = opened(desk)
    cases = {
        "Sign in at Cloudflare": ("Waits for you", ["Cancel"]),
        "Make tunnel “lab”": ("Under way", ["Cancel"]),
        "Make tunnel “desk”": ("Failed", ["Try again", "Give up", "Dismiss"]),
        "Delete tunnel “old”": ("Done", ["Dismiss"]),
        "Delete tunnel “older”": ("Cancelled", ["Dismiss"]),
    }
    for title, (word, deeds) in cases.items():
        section = work(page, title)
        expect(section).to_contain_text(word)
        assert section.locator(".buttons button").all_inner_texts() == deeds
    failed = work(page, "Make tunnel “desk”")
    expect(failed).to_contain_text("Cloudflare's API did not answer.")
    expect(failed.get_by_role("listitem").nth(2)).to_contain_text("failed: ")
    failed.get_by_role("button", name="Try again").click()
    until(lambda: desk.house.came == [RetryJob(id="create-failed")])
    expect(failed.get_by_role("heading")).to_be_focused()
    failed.get_by_role("button", name="Give up").click()
    until(lambda: desk.house.came[1:] == [CancelJob(id="create-failed")])
    desk.house.came.pop()
    work(page, "Make tunnel “lab”").get_by_role("button", name="Cancel").click()
    until(lambda: desk.house.came[1:] == [CancelJob(id="create-running")])
    old = work(page, "Delete tunnel “old”")
    expect(old.get_by_text("Left to do by hand")).to_be_visible()
    expect(old).to_contain_text("Remove the DNS record of old.example.dev.")
    expect(old).not_to_contain_text("The page notices")
    work(page, "Delete tunnel “old”").get_by_role("button", name="Dismiss").click()
    until(lambda: desk.house.came[2:] == [DismissJob(id="delete-done")])
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize(("label", "yes"), [("Overwrite it", True), ("Leave it as it is", False)])
@pytest.mark.usefixtures("furnished")
def test_a_question_is_answered_in_words_that_say_what_happens(
    desk: Desk, label: str, yes: bool
) -> None:
    now = time.time()
    tunnels(desk.house, now, question(now))
    page = opened(desk)
    asked = work(page, "Lead host names to “home”")
    expect(asked).to_contain_text("preview.example.dev has a DNS record already")
    asked.get_by_role("button", name=label).click()
    until(lambda: desk.house.came == [AnswerJob(id="routes-waiting", yes=yes)])


@pytest.mark.usefixtures("furnished")
def test_a_no_while_a_tunnel_is_made_says_that_none_is_made(desk: Desk) -> None:
    now = time.time()
    making = msgspec.structs.replace(question(now), kind="create", subject="desk")
    tunnels(desk.house, now, making)
    page = opened(desk)
    asked = work(page, "Make tunnel “desk”")
    asked.get_by_role("button", name="Leave it, and make no tunnel").click()
    until(lambda: desk.house.came == [AnswerJob(id="routes-waiting", yes=False)])


@pytest.mark.usefixtures("furnished")
def test_a_sign_in_shows_its_link_and_how_long_it_holds(desk: Desk) -> None:
    now = time.time()
    tunnels(desk.house, now, login(now))
    page = opened(desk)
    signing = work(page, "Sign in at Cloudflare")
    link = signing.get_by_role("link", name="Open Cloudflare’s page")
    assert link.get_attribute("href") == LOGIN_LINK
    expect(signing).to_contain_text("The link holds for 4 min more.")
    signing.get_by_role("button", name="QR code").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    page.keyboard.press("Escape")
    tunnels(desk.house, now, msgspec.structs.replace(login(now), expires_at=now - 1))
    expect(signing).to_contain_text("The link is no longer good.")
    expect(link).to_have_count(0)


@pytest.mark.usefixtures("furnished")
def test_progress_is_spoken_and_once_only(desk: Desk) -> None:
    now = time.time()
    done, running, todo = StepState.DONE, StepState.RUNNING, StepState.TODO
    making = job("create", JobState.RUNNING, now, steps=steps(running, todo, todo))
    tunnels(desk.house, now, making)
    page = opened(desk)
    voice = page.locator(".unseen[aria-live]")
    making = msgspec.structs.replace(making, steps=steps(done, running, todo))
    tunnels(desk.house, now, making)
    expect(voice).to_have_text("Make tunnel “home”: keep its credentials")
    making = msgspec.structs.replace(making, state=JobState.DONE, steps=steps(done, done, done))
    tunnels(desk.house, now, making)
    expect(voice).to_have_text("Make tunnel “home”: Done")


@pytest.mark.usefixtures("furnished")
def test_what_is_under_way_is_seen_from_every_page(desk: Desk) -> None:
    now = time.time()
    tunnels(desk.house, now, *jobs(now))
    page = desk.open("/doctor")
    line = page.locator(".jobs-line")
    expect(line).to_contain_text("Sign in at Cloudflare: waits for you")
    expect(line).to_contain_text("Make tunnel “lab”: under way")
    expect(line).to_contain_text("Make tunnel “desk”: failed")
    expect(line).not_to_contain_text("“old”")
    line.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Tunnels", exact=True)).to_be_visible()
    expect(line).to_have_count(0)


# -- domains, import, details -------------------------------------------------------------------


@pytest.mark.usefixtures("furnished")
def test_a_domain_is_forgotten_after_it_is_said_what_that_means(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Forget example.dev").click()
    expect(page.get_by_role("dialog")).to_contain_text("The tunnels that were made with it go on")
    agree(page, "Forget")
    until(lambda: desk.house.came == [ForgetZone(zone_id=ZONE)])
    expect(page.get_by_role("heading", name="Your domains at Cloudflare")).to_be_focused()
    page.get_by_role("button", name="Sign in for another…").click()
    until(lambda: desk.house.came[1:] == [Login()])


@pytest.mark.usefixtures("furnished")
def test_what_another_cloudflared_has_is_taken_over_on_request(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Look for it").click()
    section = page.get_by_role("region", name="Already using cloudflared?")
    expect(section).to_contain_text("It is here already.")
    section.get_by_role("button", name="Take over cert.pem").click()
    until(lambda: desk.house.came == [ImportTunnel(path=IMPORTABLE[0].path)])
    expect(section.get_by_text("Taken over", exact=True)).to_be_visible()
    expect(section.get_by_role("button", name="Take over")).to_have_count(0)


@pytest.mark.usefixtures("furnished")
def test_the_transport_is_changed_after_a_question_and_only_there(desk: Desk) -> None:
    page = opened(desk)
    home = card(page, "home")
    home.get_by_text("Certificate, transport, configuration").click()
    expect(home).to_contain_text("from WE1, Google Trust Services")
    expect(home).to_contain_text("Trusted")
    expect(home.locator("pre")).to_contain_text(ORIGIN)
    field = home.get_by_label("Transport to Cloudflare")
    field.select_option("http2")
    expect(page.get_by_role("dialog")).to_contain_text("Requests that run through it end.")
    agree(page, "Cancel")
    expect(field).to_have_value("auto")
    field.select_option("http2")
    agree(page, "Change and restart")
    until(lambda: desk.house.settings.read().settings.tunnels[0].transport == "http2")
    expect(field).to_have_value("http2")
    assert [one.transport for one in desk.house.settings.read().settings.tunnels[1:]] == [
        "auto"
    ] * 3


@pytest.mark.usefixtures("furnished")
def test_a_refused_token_is_replaced_where_it_is_said(desk: Desk) -> None:
    desk.house.refusals[SetTunnelToken] = REFUSED
    page = opened(desk)
    office = card(page, "office")
    field = office.get_by_label("Token, or the whole line")
    field.fill("eyJhIjoiMTIzIn0=")
    office.get_by_role("button", name="Use it").click()
    expect(office.get_by_role("alert")).to_contain_text("Something else is under way.")
    expect(field).to_have_value("eyJhIjoiMTIzIn0=")
    desk.house.refusals.clear()
    office.get_by_role("button", name="Use it").click()
    until(lambda: desk.house.came == [SetTunnelToken(name="office", token="eyJhIjoiMTIzIn0=")])
    expect(field).to_have_value("")


def test_what_is_to_be_done_by_hand_goes_when_it_is_done(furnished: Told, desk: Desk) -> None:
    page = opened(desk)
    office = card(page, "office")
    expect(office.get_by_text("To do by hand")).to_be_visible()
    expect(office).to_contain_text(f"Where Cloudflare has to lead: {ORIGIN}")
    furnished.report = msgspec.structs.replace(
        furnished.report,
        tunnels=tuple(msgspec.structs.replace(one, by_hand=()) for one in furnished.report.tunnels),
    )
    # looked at every 5 s as long as there is something to do
    expect(office.get_by_text("To do by hand")).to_have_count(0, timeout=10_000)
    expect(
        page.get_by_text("Tunnel “office”: nothing is left to do by hand.").first
    ).to_be_visible()


def test_it_is_looked_again_when_asked(furnished: Told, desk: Desk) -> None:
    page = opened(desk)
    rows = tuple(msgspec.structs.replace(one, routes=()) for one in furnished.report.tunnels)
    furnished.report = msgspec.structs.replace(furnished.report, tunnels=rows)
    home = card(page, "home")
    expect(home.locator(".routes")).to_contain_text("Leads elsewhere")
    page.get_by_role("button", name="Look again").click()
    expect(home.locator(".routes")).not_to_contain_text("Leads elsewhere")
    expect(home.locator(".routes .state")).to_have_text(["DNS: Not known"] * 3)
