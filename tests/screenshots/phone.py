"""The gateway's own pages as a phone shows them: the real site, through the real gateway."""

import contextlib
import time
from pathlib import Path

from playwright.sync_api import Browser, Route, ViewportSize

from nexus_tray.gateway.bounds import Bounds
from nexus_tray.gateway.server import Gateway
from nexus_tray.gateway.site import pages
from nexus_tray.model import Activity
from tests.gateway.doubles import RawUpstream, no_shape
from tests.gateway.site_world import PERMISSION, QUESTION, SESSIONS, open_site
from tests.screenshots.picture import pack

SIZE = ViewportSize(width=390, height=760)


def shoot(browser: Browser, folder: Path, home: Path) -> None:
    """Sign-in and the first page, in both themes."""
    with contextlib.ExitStack() as ending:
        world = open_site(home, now=time.time())
        ending.callback(world.close)
        upstream = RawUpstream()
        ending.callback(upstream.close)
        gateway = Gateway(world.site, no_shape, None, 0, Bounds())
        ending.callback(gateway.close)
        gateway.start()
        gateway.set_upstream(upstream.upstream)
        world.change(activity=Activity(sessions=SESSIONS, questions=(PERMISSION, QUESTION)))
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
            context.close()


def answer_sign_in(route: Route) -> None:
    """The public door's first page."""
    route.fulfill(content_type="text/html", body=pages.sign_in("studio-pc", "/_nexus/"))
