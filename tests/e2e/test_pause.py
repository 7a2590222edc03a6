"""Remote access paused, resumed and ended at once, over the whole program and its lab."""

import time

import pytest
from playwright.sync_api import WebSocket, expect

from nexus_tray.model import HopState, ServiceState, Snapshot
from tests.e2e.conftest import Phone
from tests.e2e.program import Program, wait_until
from tests.e2e.test_main_job import reachable, sign_in

pytestmark = pytest.mark.timeout(240)


def tunnel_is(program: Program, state: ServiceState, *, paused: bool) -> None:
    def so(now: Snapshot) -> bool:
        quick = now.service("quick")
        return quick is not None and quick.state is state and now.paused is paused

    program.wait_for(so, 30, f"the tunnel {state}, paused: {paused}")


def test_a_pause_outlives_the_program_and_a_panic_outlives_both(
    program: Program, phone: Phone
) -> None:
    program.start()
    address = reachable(program)
    sign_in(phone, address)
    expect(phone.page).to_have_url(f"{address}/_nexus/")

    # paused: closed, signed in still, over a restart of the program
    assert "Remote access is paused until" in program.cli("pause", "1h").stdout
    tunnel_is(program, ServiceState.STOPPED, paused=True)
    assert program.snapshot().state is HopState.OFF
    assert program.stop() == 0
    program.start()
    program.wait_running("opencode", "gateway")
    tunnel_is(program, ServiceState.STOPPED, paused=True)
    shown = program.cli("status").stdout
    assert "Paused    until" in shown
    assert "nexus-tray resume" in shown
    assert "signed in" in program.cli("devices").stdout
    assert "no longer paused" in program.cli("resume").stdout
    program.wait_running("quick", seconds=60)
    again = program.snapshot().address
    assert again is not None

    # a panic: what is open ends at once, nobody is signed in, and it stays so
    sign_in(phone, again)
    sockets: list[WebSocket] = []
    phone.page.on("websocket", lambda one: sockets.append(one))
    expect(phone.page).to_have_url(f"{again}/_nexus/")
    phone.page.goto(f"{again}/")
    wait_until(lambda: phone.page.evaluate("() => true") and sockets, 20, "the page's stream")
    open_before = [one for one in sockets if not one.is_closed()]
    began = time.monotonic()
    said = program.cli("panic", "--yes")
    wait_until(
        lambda: phone.page.evaluate("() => true") and all(one.is_closed() for one in open_before),
        10,
        "no open stream",
    )
    spent = time.monotonic() - began
    print(f"from the command to no open stream, with the command's own start: {spent:.2f} s")
    assert open_before
    assert spent < 2.0
    assert said.returncode == 0
    assert "nexus-tray start quick" in said.stdout
    assert phone.page.evaluate("async () => (await fetch('/session')).status") != 200
    assert program.cli("devices").stdout == "Nobody is signed in.\n"
    tunnel_is(program, ServiceState.STOPPED, paused=False)
    assert program.stop() == 0
    program.start()
    program.wait_running("opencode", "gateway")
    tunnel_is(program, ServiceState.STOPPED, paused=False)
    assert program.cli("start", "quick").returncode == 0
    program.wait_running("quick", seconds=60)
