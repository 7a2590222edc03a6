"""New tunnels and routes: what is typed, what is refused, what goes out."""

import time

import msgspec
import pytest
from playwright.sync_api import Page, Route, expect

from nexus_tray.api.shapes import Routes
from nexus_tray.commands import CreateTunnel, Login, SetRoutes, SetTunnelToken
from nexus_tray.model import Hop, JobState, Problem, Reason
from nexus_tray.reports import Tunnels, Zone
from nexus_tray.settings import RouteSettings
from tests.api.doubles import until
from tests.dashboard.conftest import Desk, Refusing
from tests.dashboard.test_tunnels import agree, card, opened, work
from tests.dashboard.tunnel_house import (
    ACCOUNT,
    PLANS,
    TOKEN_FACTS,
    ZONE,
    Told,
    job,
    login,
    settle,
    tunnels,
)

NO = Problem(Reason(code="no", hop=Hop.EDGE, what="Cloudflare said no.", cure="Ask it again."))
SECRET = "eyJhIjoiMTIzIn0="
ROUTES = PLANS[0].routes


@pytest.fixture
def furnished(house: Refusing) -> Told:
    """Named before `desk` by each test: its server takes what the house reports as it starts."""
    tunnels(house, time.time())
    return settle(house)


def begin(desk: Desk, kind: str) -> Page:
    page = opened(desk)
    page.get_by_role("button", name="New tunnel").click()
    expect(page.get_by_role("heading", name="New tunnel")).to_be_focused()
    page.get_by_role("radio", name=kind).check()
    return page


# -- new tunnels --------------------------------------------------------------------------------


@pytest.mark.usefixtures("furnished")
def test_a_quick_tunnel_needs_a_free_name_only(desk: Desk) -> None:
    page = begin(desk, "Quick")
    name = page.get_by_label("Its name here")
    expect(name).to_have_value("quick-2")
    make = page.get_by_role("button", name="Make the tunnel")
    for typed, told in (("home", "There is a tunnel “home” already."), ("Ä", "Small letters")):
        name.fill(typed)
        expect(page.get_by_text(told)).to_be_visible()
        make.click(force=True)
    name.fill("phone")
    make.click()
    until(lambda: desk.house.came == [CreateTunnel(name="phone", kind="quick")])
    expect(page.get_by_role("heading", name="New tunnel")).to_have_count(0)


@pytest.mark.usefixtures("furnished")
def test_a_named_tunnel_takes_host_names_of_the_domain(desk: Desk) -> None:
    page = begin(desk, "On your domain")
    page.get_by_label("Its name here").fill("desk")
    make = page.get_by_role("button", name="Make the tunnel")
    first = page.get_by_label("Host name 1")
    cases = {
        "code.elsewhere.org": "It has to end with .example.dev",
        "code.example.dev": "belongs to tunnel “home” already",
        "not a name": "A whole host name is wanted",
        "agent": "Meant is agent.example.dev.",
    }
    for typed, told in cases.items():
        first.fill(typed)
        expect(page.get_by_text(told)).to_be_visible()
    page.get_by_role("button", name="Another host name").click()
    second = page.get_by_role("textbox", name="Host name 2")
    expect(second).to_be_focused()
    second.fill("AGENT.example.dev")
    expect(page.get_by_text("It stands above already.")).to_be_visible()
    make.click(force=True)
    assert desk.house.came == []
    second.fill("https://two.example.dev/")
    make.click()
    routes = (
        RouteSettings(hostname="agent.example.dev"), RouteSettings(hostname="two.example.dev"),
    )  # fmt: skip
    wanted = CreateTunnel(name="desk", kind="named", zone_id=ZONE, routes=routes)
    until(lambda: desk.house.came == [wanted])


def test_without_a_domain_signing_in_comes_first(furnished: Told, desk: Desk) -> None:
    full = furnished.report
    furnished.report = msgspec.structs.replace(full, zones=())
    page = begin(desk, "On your domain")
    expect(page.get_by_label("Host name 1")).to_have_count(0)
    page.get_by_role("button", name="Sign in at Cloudflare", exact=True).click()
    until(lambda: desk.house.came == [Login()])
    now = time.time()
    signing = login(now)
    tunnels(desk.house, now, signing)
    form = page.get_by_role("region", name="New tunnel")
    expect(form.get_by_role("link", name="Open Cloudflare’s page")).to_be_visible()
    expect(work(page, "Sign in at Cloudflare")).to_have_count(1)
    furnished.report = full  # the certificate has come
    tunnels(desk.house, now, msgspec.structs.replace(signing, state=JobState.DONE))
    expect(form.get_by_label("Host name 1")).to_be_visible()


def test_with_two_domains_one_is_chosen(furnished: Told, desk: Desk) -> None:
    other = Zone(id="c3" * 16, account_id=ACCOUNT, name=None)
    furnished.report = msgspec.structs.replace(
        furnished.report, zones=(*furnished.report.zones, other)
    )
    page = begin(desk, "On your domain")
    page.get_by_label("Domain", exact=True).select_option(other.id)
    page.get_by_label("Host name 1").fill("a.some.where.org")  # its name is not known, so it may
    page.get_by_role("button", name="Make the tunnel").click()
    until(lambda: len(desk.house.came) == 1)
    made = desk.house.came[0]
    assert isinstance(made, CreateTunnel)
    assert made.zone_id == other.id


def test_a_token_is_looked_at_before_it_is_used(furnished: Told, desk: Desk) -> None:
    furnished.token = NO
    page = begin(desk, "From Cloudflare")
    field = page.get_by_label("Its token, or the whole line")
    expect(field).to_have_attribute("type", "password")
    field.fill("cloudflared service install nonsense")
    look = page.get_by_role("button", name="Look at it")
    look.click()
    form = page.get_by_role("region", name="New tunnel")
    expect(form.get_by_role("alert")).to_contain_text("Cloudflare said no.")
    expect(field).to_have_value("cloudflared service install nonsense")
    furnished.token = TOKEN_FACTS
    field.fill(SECRET)
    look.click()
    expect(form).to_contain_text(TOKEN_FACTS.account_id)
    expect(form).to_contain_text(TOKEN_FACTS.tunnel_id)
    form.get_by_role("button", name="Use it").click()
    until(lambda: desk.house.came == [CreateTunnel(name="office-2", kind="token", token=SECRET)])


def test_a_token_of_a_tunnel_that_is_here_goes_to_that_one(furnished: Told, desk: Desk) -> None:
    furnished.token = msgspec.structs.replace(TOKEN_FACTS, known_as="office")
    page = begin(desk, "From Cloudflare")
    page.get_by_label("Its token, or the whole line").fill(SECRET)
    page.get_by_role("button", name="Look at it").click()
    form = page.get_by_role("region", name="New tunnel")
    expect(form).to_contain_text("This tunnel is here already, as “office”.")
    expect(form.get_by_role("button", name="Use it")).to_have_count(0)
    form.get_by_role("button", name="Give “office” this token").click()
    until(lambda: desk.house.came == [SetTunnelToken(name="office", token=SECRET)])


@pytest.mark.usefixtures("furnished")
def test_a_refusal_keeps_what_was_typed_and_so_does_the_stream(desk: Desk) -> None:
    desk.house.refusals[CreateTunnel] = NO
    page = begin(desk, "On your domain")
    field = page.get_by_label("Host name 1")
    field.fill("a.example.dev")
    now = time.time()
    for number in range(5):
        tunnels(desk.house, now, headline=f"Changed {number}")
    page.get_by_role("button", name="Make the tunnel").click()
    form = page.get_by_role("region", name="New tunnel")
    expect(form.get_by_role("alert")).to_contain_text("Ask it again.")
    expect(field).to_have_value("a.example.dev")
    form.get_by_role("button", name="Close").click()
    expect(form).to_have_count(0)
    expect(page.get_by_role("button", name="New tunnel")).to_be_focused()


@pytest.mark.usefixtures("furnished")
def test_the_job_that_was_begun_gets_the_focus(desk: Desk) -> None:
    now = time.time()
    page = begin(desk, "Quick")
    page.route(
        "**/api/v1/tunnels",
        lambda route: (
            route.fulfill(json={"ok": True, "value": "create-running"})
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    page.get_by_role("button", name="Make the tunnel").click()
    expect(page.get_by_role("heading", name="New tunnel")).to_have_count(0)
    tunnels(desk.house, now, job("create", JobState.RUNNING, now, subject="quick-2"))
    expect(work(page, "Make tunnel “quick-2”").get_by_role("heading")).to_be_focused()


# -- routes -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("furnished")
def test_routes_tell_their_dns_and_what_is_sent_but_not_listed(desk: Desk) -> None:
    page = opened(desk)
    home = card(page, "home")
    states = home.locator(".routes .state").all_inner_texts()
    assert [state.split()[-1] for state in states] == ["Ready", "elsewhere", "Missing"]
    expect(home).to_contain_text("an A record leads to 192.0.2.10")
    office = card(page, "office")
    expect(office).to_contain_text("Cloudflare sends it here, but it is not listed")
    office.get_by_role("button", name="Add it: agent.example.org").click()
    expect(office.get_by_role("textbox", name="Host name")).to_have_value("agent.example.org")
    office.get_by_role("button", name="Save").click()
    route = RouteSettings(hostname="agent.example.org")
    until(lambda: desk.house.came == [SetRoutes(name="office", routes=(route,))])


@pytest.mark.usefixtures("furnished")
def test_a_route_to_another_service_is_added_with_all_it_needs(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Add a host name to home").click()
    form = page.get_by_role("form", name="New host name")
    host = form.get_by_role("textbox", name="Host name")
    expect(host).to_be_focused()
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("A whole host name is wanted")
    host.fill("New")
    expect(form).to_contain_text("Meant is new.example.dev.")
    expect(form).to_contain_text("Saving restarts nothing")
    expect(form).to_contain_text("A DNS record for new.example.dev is made at Cloudflare")
    form.get_by_role("radio", name="Another service").check()
    address = form.get_by_label("Its address here")
    address.fill("localhost:3000")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("An address without a path is wanted")
    address.fill("https://localhost:3000/")
    form.get_by_text("More", exact=True).click()
    form.get_by_label("Host that it sees").fill("dev.local")
    form.get_by_label("Seconds to connect").fill("0")
    expect(form.get_by_role("alert")).to_contain_text("1 to 300 to connect")
    form.get_by_role("button", name="Save").click()
    form.get_by_label("Seconds to connect").fill("9")
    expect(form.get_by_role("alert")).to_have_count(0)
    form.get_by_label("Check its certificate").uncheck()
    expect(form).to_contain_text("anything that answers at that address is believed")
    form.get_by_label("File of the authorities").fill("/etc/own.pem")
    form.get_by_role("button", name="Save").click()
    route = RouteSettings(
        hostname="new.example.dev", service="https://localhost:3000", host_header="dev.local",
        verify_tls=False, ca_file="/etc/own.pem", connect_timeout=9,
    )  # fmt: skip
    until(lambda: desk.house.came == [SetRoutes(name="home", routes=(*ROUTES, route))])
    expect(form).to_have_count(0)


def test_a_host_name_of_a_forgotten_domain_says_what_is_missing(
    furnished: Told, desk: Desk
) -> None:
    furnished.report = msgspec.structs.replace(furnished.report, zones=())
    page = opened(desk)
    page.get_by_role("button", name="Add a host name to home").click()
    form = page.get_by_role("form", name="New host name")
    form.get_by_role("textbox", name="Host name").fill("new.example.dev")
    expect(form).to_contain_text("You are not signed in for its domain")


@pytest.mark.usefixtures("furnished")
def test_a_route_is_changed_and_keeps_what_is_not_on_the_page(desk: Desk) -> None:
    desk.house.refusals[SetRoutes] = NO
    page = opened(desk)
    page.get_by_role("button", name="Change preview.example.dev").click()
    form = page.get_by_role("form", name="Change preview.example.dev")
    form.get_by_label("Its address here").fill("http://localhost:9999")
    tunnels(desk.house, time.time(), headline="Something changed")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_contain_text("Cloudflare said no.")
    expect(form.get_by_label("Its address here")).to_have_value("http://localhost:9999")
    desk.house.refusals.clear()
    form.get_by_role("button", name="Save").click()
    changed = msgspec.structs.replace(ROUTES[1], service="http://localhost:9999")
    wanted = SetRoutes(name="home", routes=(ROUTES[0], changed, ROUTES[2]))
    until(lambda: desk.house.came == [wanted])
    expect(card(page, "home").get_by_role("heading", name="Host names")).to_be_focused()


@pytest.mark.usefixtures("furnished")
def test_the_order_is_changed_by_keys_and_the_focus_goes_along(desk: Desk) -> None:
    page = opened(desk)
    settings = desk.house.settings

    def keep(route: Route) -> None:
        """As the program does it: the settings have the routes when it answers."""
        given = msgspec.json.decode(route.request.post_data or "", type=Routes).routes
        plans = (msgspec.structs.replace(PLANS[0], routes=given), *PLANS[1:])
        settings.update({"tunnels": msgspec.to_builtins(plans)}, None)
        route.fulfill(json={"ok": True, "value": ""})

    page.route("**/tunnels/home/routes", keep)
    name = "Move code.example.dev down"
    page.get_by_role("button", name=name).focus()
    for wanted in ((1, 0, 2), (1, 2, 0)):
        page.keyboard.press("Enter")
        place = wanted.index(0)
        row = card(page, "home").locator(".routes li").nth(place)
        expect(row.get_by_role("button", name=name)).to_be_focused()
        expect(page.locator(".unseen[aria-live]")).to_have_text(
            f"code.example.dev is number {place + 1} of 3 now."
        )
        order = tuple(ROUTES[number] for number in wanted)
        assert settings.read().settings.tunnels[0].routes == order
    page.keyboard.press("Enter")  # nothing is below
    expect(page.get_by_role("button", name=name)).to_have_attribute("aria-disabled", "true")
    assert settings.read().settings.tunnels[0].routes == order


@pytest.mark.usefixtures("furnished")
def test_a_route_is_removed_after_a_question(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Remove docs.example.dev").click()
    expect(page.get_by_role("dialog")).to_contain_text("Its DNS record at Cloudflare is deleted")
    expect(page.get_by_role("dialog")).to_contain_text("The tunnel is not restarted")
    agree(page, "Remove")
    until(lambda: desk.house.came == [SetRoutes(name="home", routes=ROUTES[:2])])


@pytest.mark.usefixtures("furnished")
def test_a_quick_tunnel_leads_to_one_service(desk: Desk) -> None:
    page = opened(desk)
    page.get_by_role("button", name="Change where quick leads").click()
    form = page.get_by_role("form", name="Where it leads")
    expect(form.get_by_label("Host name")).to_have_count(0)
    form.get_by_role("radio", name="Another service").check()
    form.get_by_label("Its address here").fill("http://localhost:5173")
    form.get_by_role("button", name="Save").click()
    route = RouteSettings(service="http://localhost:5173")
    until(lambda: desk.house.came == [SetRoutes(name="quick", routes=(route,))])


def test_tunnels_without_reports_are_shown_all_the_same(furnished: Told, desk: Desk) -> None:
    """The report takes longer, or there is none of a tunnel that has just come."""
    furnished.report = Tunnels()
    desk.page.route("**/api/v1/config", lambda route: route.abort())
    page = desk.open("/tunnels")
    expect(card(page, "home")).to_contain_text("Running")
    expect(page.locator("main .failure")).to_contain_text("again by itself")
    desk.page.unroute("**/api/v1/config")
    expect(card(page, "home").get_by_role("heading", name="Host names")).to_be_visible()
    expect(page.locator("main .failure")).to_have_count(0)
