"""Fixtures of the OpenCode lab, for every test (registered in tests/conftest.py).

`opencode` is one server for the whole session (starting costs 2 s and 320 MB): tests that
stop, freeze or misconfigure it make a `Keeper` of their own on `opencode_home`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.opencode_lab.harness import Home, Keeper
from tests.opencode_lab.provider import Provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The language model of the lab."""
    with Provider() as lab:
        yield lab


@pytest.fixture(scope="session")
def opencode(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """One running OpenCode, ready, shared; it must be left as it was found."""
    with Keeper(Home(tmp_path_factory.mktemp("opencode"), provider.url)) as keeper:
        keeper.start()
        yield keeper


@pytest.fixture
def opencode_home(provider: Provider, tmp_path: Path) -> Home:
    """A home of the test's own, for an OpenCode of its own."""
    return Home(tmp_path / "opencode", provider.url)
