"""The gateway's own pages as a phone shows them: the real site, through the real gateway."""

import contextlib
import time
from pathlib import Path

from msgspec.structs import replace
from playwright.sync_api import Browser, Route, ViewportSize

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.site import pages
from nexus_tray.model import Activity, OpenCodeSession, Question, SessionState
from nexus_tray.reports import Message
from tests.gateway.doubles import RawUpstream, no_shape
from tests.gateway.site_world import PERMISSION, QUESTION, SESSIONS, open_site
from tests.screenshots.picture import pack

SIZE = ViewportSize(width=390, height=760)
PAGES = (
    ("session", "session?id=ses_1", "#said article"),
    ("session-interrupted", "session?id=ses_3", "#said article"),
    ("new-session", "new", "textarea"),
)
"""What else is pictured: its name, its address, and what is there once it is drawn."""


def shoot(browser: Browser, folder: Path, home: Path) -> None:
    """Sign-in, the first page, a session and a new one, in both themes."""
    with contextlib.ExitStack() as ending:
        world = open_site(home, now=time.time())
        ending.callback(world.close)
        upstream = RawUpstream()
        ending.callback(upstream.close)
        gateway = Gateway(world.site, no_shape, None, 0, Bounds())
        ending.callback(gateway.close)
        gateway.start()
        gateway.set_upstream(upstream.upstream)
        said_at = time.time()
        world.said = SAID
        world.change(activity=Activity(sessions=sessions(said_at), questions=asked(said_at)))
        origin = f"http://127.0.0.1:{gateway.local_port}"
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport=SIZE, locale="en-GB", color_scheme="dark" if theme == "dark" else "light"
            )
            page = context.new_page()
            page.route(f"{origin}/_nexus/sign-in", answer_sign_in)
            page.goto(f"{origin}/_nexus/sign-in")
            pack(page.screenshot(), folder / f"phone-sign-in-{theme}.png")
            ticket = world.vault.accounts.new_ticket("/_nexus/")
            page.goto(f"{origin}/_nexus/enter?ticket={ticket}")
            page.locator(".sess").first.wait_for()
            pack(page.screenshot(full_page=True), folder / f"phone-sessions-{theme}.png")
            for name, link, shown in PAGES:
                page.goto(f"{origin}/_nexus/{link}")
                page.locator(shown).first.wait_for()
                pack(page.screenshot(full_page=True), folder / f"phone-{name}-{theme}.png")
            context.close()


SAID = (
    Message(
        id="msg_1", role="user", text="Make the tray's icons one colour each, and run the tests."
    ),
    Message(
        id="msg_2",
        role="assistant",
        text="The four icons have their colours now, and the tests pass.\nI would like to push it.",
        doings=("read: icons/tray.svg", "edit: icons/tray.svg", "bash: ./build/test -k icons"),
    ),
)


def sessions(now: float) -> tuple[OpenCodeSession, ...]:
    """Three, seen a short while ago; the last one's turn was broken off."""
    waiting, working, rest = SESSIONS
    return (
        replace(waiting, updated_at=now - 30),
        replace(working, updated_at=now - 300, cost=0.18),
        replace(rest, updated_at=now - 7200, state=SessionState.INTERRUPTED),
    )


def asked(now: float) -> tuple[Question, ...]:
    """What waits for an answer, for a short while."""
    return tuple(replace(one, asked_at=now - 20) for one in (PERMISSION, QUESTION))


def answer_sign_in(route: Route) -> None:
    """The public door's first page."""
    route.fulfill(content_type="text/html", body=pages.sign_in("studio-pc", "/_nexus/"))
