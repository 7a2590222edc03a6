"""What every test may use: a home of its own, and the long profile's switch."""

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from nexus_tray.paths import Paths, find

# Registered once for all: imported by name, each module would have a server of its own.
pytest_plugins = ["tests.opencode_lab.fixtures"]

settings.register_profile(
    "short", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long profiles too")


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background jobs ignore SIGINT, and so would every child a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        left = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """The product's folders, below the test's own."""
    return find({"NEXUS_TRAY_HOME": str(tmp_path / "home")})
