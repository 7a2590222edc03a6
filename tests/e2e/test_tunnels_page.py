"""The Tunnels page over the whole program and the lab's account: a person's way through it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.cloudflare.lab import Lab
from tests.e2e.conftest import Phone
from tests.e2e.program import Program
from tests.e2e.test_dashboard import open_dashboard
from tests.e2e.test_tunnels import CODE, PREVIEW, api, begin, records, tunnel

pytestmark = pytest.mark.timeout(240)


def leave_certificate(program: Program, lab: Lab) -> None:
    """What somebody who used cloudflared before has in his home."""
    folder = program.home / "user" / ".cloudflared"
    folder.mkdir(mode=0o700)
    path = folder / "cert.pem"
    path.touch(mode=0o600)
    path.write_bytes(Path(lab.info["origincert"]).read_bytes())


def test_a_tunnel_of_ones_own_without_a_terminal(program: Program, lab: Lab, phone: Phone) -> None:
    leave_certificate(program, lab)
    begin(program)
    zone = lab.info["zone"]
    api(lab, "POST", f"/zones/{zone}/dns_records", {"name": CODE, "content": "old.example.net"})
    context = phone.browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    open_dashboard(program, page, "/tunnels")

    # a domain: taken over from what is there
    page.get_by_role("button", name="Look for it").click()
    page.get_by_role("button", name="Take over").click()
    domains = page.get_by_role("region", name="Your domains at Cloudflare")
    expect(domains.get_by_role("listitem")).to_have_count(1)

    # a tunnel in it, whose host name is somebody's already
    page.get_by_role("button", name="New tunnel").click()
    page.get_by_role("radio", name="On your domain").check()
    page.get_by_label("Its name here").fill("home")
    page.get_by_label("Host name 1").fill(CODE)
    page.get_by_role("button", name="Make the tunnel").click()
    job = page.get_by_role("region", name="Make tunnel “home”")
    expect(job).to_contain_text(f"There is a DNS record for {CODE} already", timeout=30_000)
    assert records(lab)[CODE] == "old.example.net"
    job.get_by_role("button", name="Overwrite it").click()
    card = page.get_by_role("region", name="Tunnel “home”", exact=True)
    expect(card).to_contain_text("Running", timeout=60_000)
    expect(card.get_by_role("link", name=f"https://{CODE}")).to_be_visible()
    job.get_by_role("button", name="Dismiss").click()
    expect(job).to_have_count(0)

    # another host name, which restarts nothing
    pid = program.snapshot().service("home").facts.pid  # type: ignore[union-attr]
    page.get_by_role("button", name="Add a host name to home").click()
    form = page.get_by_role("form", name="New host name")
    form.get_by_role("textbox", name="Host name").fill(PREVIEW)
    form.get_by_role("radio", name="Another service").check()
    form.get_by_label("Its address here").fill("http://localhost:5173")
    form.get_by_role("button", name="Save").click()
    row = card.get_by_role("listitem").filter(has_text=PREVIEW)
    expect(row).to_contain_text("Ready", timeout=60_000)
    assert records(lab)[PREVIEW] == records(lab)[CODE]
    assert program.snapshot().service("home").facts.pid == pid  # type: ignore[union-attr]

    # its end
    card.get_by_role("button", name="Delete tunnel “home”").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    gone = page.get_by_role("region", name="Delete tunnel “home”")
    expect(gone).to_contain_text("Done", timeout=60_000)
    expect(card).to_have_count(0)
    assert tunnel(lab, "home")["deleted"] is not None
    assert not {CODE, PREVIEW} & set(records(lab))
    context.close()


def test_signing_in_by_hand_is_noticed(program: Program, lab: Lab, phone: Phone) -> None:
    """Where the certificate does not come by itself: here, nobody answers for Cloudflare's page."""
    begin(program)
    context = phone.browser.new_context(viewport={"width": 1100, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    open_dashboard(program, page, "/tunnels")
    page.get_by_role("button", name="New tunnel").click()
    page.get_by_role("radio", name="On your domain").check()
    form = page.get_by_role("region", name="New tunnel")
    form.get_by_role("button", name="Sign in at Cloudflare").click()
    by_hand = form.get_by_text("To do by hand")
    expect(by_hand).to_be_visible(timeout=60_000)
    expect(form).to_contain_text("Your browser may have downloaded the certificate")
    downloads = program.home / "user" / "Downloads"
    downloads.mkdir(exist_ok=True)
    (downloads / "cert.pem").write_bytes(Path(lab.info["origincert"]).read_bytes())
    expect(form.get_by_label("Host name 1")).to_be_visible(timeout=60_000)
    domains = page.get_by_role("region", name="Your domains at Cloudflare")
    expect(domains.get_by_role("listitem")).to_have_count(1)
    context.close()
