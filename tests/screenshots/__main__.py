"""All pictures by one command: dashboard, tray in a real panel, phone pages, window.

    .venv/bin/python -m tests.screenshots docs/screenshots    # what is kept
    .venv/bin/python -m tests.screenshots FOLDER --all        # also 720 px, and text at 200 %

Needs besides what the tests need: openbox, xfce4-panel, xdotool, xsetroot, fonts-dejavu-core and
adwaita-icon-theme. Everything drawn is the product's own; what it shows is made up.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.dashboard import screenshots as dashboard
from tests.dashboard.conftest import LAUNCH
from tests.screenshots import panel, phone, window


def main(folder: Path, *, every: bool = False) -> None:
    """Write every picture into `folder`; what else is in it stays."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        panel.shoot(folder, home / "desktop")
        window.shoot(folder, home)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=LAUNCH
            )
            phone.shoot(browser, folder, home / "phone")
            dashboard.shoot(browser, folder, every=every)
            browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="every width, and large text")
    given = parser.parse_args()
    main(given.folder, every=given.all)
