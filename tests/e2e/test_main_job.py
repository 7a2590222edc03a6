"""The main job, whole: from a phone through Cloudflare, cloudflared and gateway to OpenCode."""

import json
import os
import re
import signal
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from nexus_tray.model import HopState, ServiceState
from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD, Phone
from tests.e2e.program import Program, wait_until

pytestmark = pytest.mark.timeout(240)


def reachable(program: Program) -> str:
    """Set the password and wait for the public address."""
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    snapshot = program.wait_running("opencode", "gateway", "quick")
    assert snapshot.state is HopState.UP
    assert snapshot.address is not None
    return snapshot.address


def sign_in(phone: Phone, address: str) -> None:
    phone.page.goto(address)
    expect(phone.page).to_have_url(re.compile(f"{address}/_nexus/sign-in"))
    phone.page.get_by_label("Password").fill(PASSWORD)
    phone.page.get_by_role("button", name="Sign in").click()


def fetch(page: Page, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """A request by the page's own means: status and JSON."""
    status, text = page.evaluate(
        """async ([method, path, body]) => {
            const options = {method, headers: {"content-type": "application/json"}};
            if (body !== null) options.body = JSON.stringify(body);
            const answer = await fetch(path, options);
            return [answer.status, await answer.text()];
        }""",
        [method, path, body],
    )
    return status, json.loads(text)


def test_without_a_password_nothing_is_reachable(program: Program) -> None:
    program.start()
    snapshot = program.wait_running("opencode", "gateway")
    tunnel = snapshot.service("quick")
    assert tunnel is not None
    assert tunnel.state is ServiceState.STOPPED
    assert tunnel.reason is not None
    assert tunnel.reason.code == "no-password"
    assert "nexus-tray password set" in program.cli("status").stdout


def test_a_conversation_from_a_phone(program: Program, phone: Phone) -> None:
    program.start()
    address = reachable(program)
    page = phone.page
    sign_in(phone, address)
    expect(page).to_have_url(f"{address}/_nexus/")
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()

    # a session of OpenCode's, made and opened through the gateway
    session = fetch(page, "POST", "/session", {"title": "A first talk"})[1]["id"]
    page.reload()
    page.get_by_role("link", name="A first talk").click()
    page.get_by_role("link", name="Open in OpenCode").click()
    expect(page.get_by_role("textbox")).to_be_visible(timeout=20_000)

    # the first event reaches the page within a second of OpenCode's having it
    page.get_by_role("textbox").click()
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    began = time.monotonic()
    expect(page.get_by_text("Hello from the lab").first).to_be_visible(timeout=10_000)
    print(f"streamed reply visible after {time.monotonic() - began:.2f} s")

    # a permission, answered on the gateway's own page
    page.get_by_role("textbox").click()
    page.keyboard.type("RUNTOOL: echo tool-$((6*7))")
    page.keyboard.press("Enter")
    program.wait_for(lambda s: s.activity and s.activity.questions, 20, "a question")
    other = phone.context.new_page()
    other.goto(f"{address}/_nexus/")
    expect(other.get_by_text("echo tool-$((6*7))")).to_be_visible()
    other.get_by_role("button", name="Allow once").click()
    expect(page.get_by_text("tool-42").first).to_be_visible(timeout=20_000)

    messages = fetch(page, "GET", f"/session/{session}/message")[1]
    assert len([m for m in messages if m["info"]["role"] == "user"]) == 2

    # signing out ends it
    other.get_by_role("button", name="Sign out").click()
    expect(other).to_have_url(f"{address}/_nexus/sign-in")
    assert fetch(page, "GET", "/session")[0] == 401


def test_the_page_is_light_and_can_be_installed(program: Program, phone: Phone) -> None:
    program.start()
    address = reachable(program)
    sign_in(phone, address)
    expect(phone.page).to_have_url(f"{address}/_nexus/")
    with phone.page.expect_response(lambda answer: "/assets/index" in answer.url) as waiting:
        phone.page.goto(f"{address}/")
    script = waiting.value
    assert script.headers["content-encoding"] == "gzip"
    assert "immutable" in script.headers["cache-control"]
    stranger = phone.browser.new_context(ignore_https_errors=True).new_page()
    manifest = stranger.goto(f"{address}/site.webmanifest")
    assert manifest is not None
    assert manifest.json()["icons"], "browsers fetch it without cookies"


def test_the_terminal_works(program: Program, phone: Phone) -> None:
    program.start()
    address = reachable(program)
    sign_in(phone, address)
    expect(phone.page).to_have_url(f"{address}/_nexus/")
    echoed = phone.page.evaluate(
        """async () => {
            const post = async (path, body, more) => (await fetch(path, {method: "POST",
                headers: {"content-type": "application/json", ...more},
                body: JSON.stringify(body)})).json();
            const shell = await post("/pty", {command: "/bin/sh", args: []}, {});
            const token = await post(`/pty/${shell.id}/connect-token`, {},
                {"x-opencode-ticket": "1"});
            const socket = new WebSocket(
                `/pty/${shell.id}/connect?cursor=0&ticket=${token.ticket}`);
            return await new Promise((resolve, reject) => {
                let all = "";
                socket.onopen = () => socket.send("echo shell-$((6*7))\\n");
                socket.onerror = () => reject(new Error("refused"));
                socket.onmessage = async event => {
                    all += typeof event.data === "string" ? event.data : await event.data.text();
                    if (all.includes("shell-42")) resolve(all);
                };
            });
        }"""
    )
    assert "shell-42" in echoed


def test_a_reply_survives_the_edge_dropping_everything(
    program: Program, phone: Phone, lab: Lab
) -> None:
    """SECURITY's quick tunnels hold events back; the bridge must also span a cut line."""
    program.start()
    address = reachable(program)
    page = phone.page
    sign_in(phone, address)
    expect(page).to_have_url(f"{address}/_nexus/")
    fetch(page, "POST", "/session", {"title": "A long reply"})
    page.reload()
    page.get_by_role("link", name="A long reply").click()
    page.get_by_role("link", name="Open in OpenCode").click()
    page.get_by_role("textbox").click(timeout=20_000)
    page.keyboard.type("SLOW")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"tick3\b"))).to_be_visible(timeout=20_000)
    lab.call("POST", "/edge/drop")
    expect(page.get_by_text(re.compile(r"tick59\b"))).to_be_visible(timeout=60_000)
    said = re.findall(r"tick\d+", page.locator("body").inner_text())
    assert said == [f"tick{number}" for number in range(60)], "nothing missing, nothing twice"


def test_the_local_door_opens_by_a_one_time_link(program: Program, phone: Phone) -> None:
    program.start()
    program.wait_running("opencode", "gateway")
    link = program.cli("open", "--print").stdout.strip()
    phone.page.goto(link)
    expect(phone.page.get_by_role("textbox").or_(phone.page.locator("#root")).first).to_be_visible()
    assert fetch(phone.page, "GET", "/config")[0] == 200
    # the link worked once; another browser gets nothing by it
    stranger = phone.browser.new_context().new_page()
    answer = stranger.goto(link)
    assert answer is not None
    assert answer.status == 403


def test_kills_are_noticed_and_mended(program: Program) -> None:
    program.start()
    address = reachable(program)
    for name in ("opencode", "quick"):
        before = program.pid_of(name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda name=name: restarted(program, name), 20, f"{name} again")  # type: ignore[misc]
        program.wait_running(name, seconds=30)
        assert program.pid_of(name) != before
    after = program.snapshot().address
    assert after is not None
    assert after != address, "a new quick tunnel has a new address, and it is shown"


def restarted(program: Program, name: str) -> bool:
    service = program.snapshot().service(name)
    return service is not None and service.restarts == 1
