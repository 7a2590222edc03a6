"""An address that is none is refused when it is saved, and the settings stay as they were."""

from pathlib import Path

import pytest

from nexus_tray.app.checked_access import CheckedAccess
from nexus_tray.model import Problem
from nexus_tray.paths import find
from nexus_tray.store.config import ConfigStore


@pytest.mark.parametrize("text", ["300.1.1.1", "10.0.0.0/40", "2001:db8::/129", "1:2", "..."])
@pytest.mark.parametrize("name", ["allow_addresses", "deny_addresses"])
def test_what_is_no_address_is_not_kept(tmp_path: Path, name: str, text: str) -> None:
    store = ConfigStore(find({"NEXUS_TRAY_HOME": str(tmp_path)}))
    with pytest.raises(Problem) as caught:
        CheckedAccess(store).update({"access": {name: ["10.0.0.1", text]}}, None)
    assert caught.value.reason.code == "config-invalid"
    assert text in caught.value.reason.what
    assert store.read().settings.access.allow_addresses == ()


def test_addresses_and_networks_are_kept(tmp_path: Path) -> None:
    wished = ["203.0.113.7", "10.1.2.3/8", "2001:db8::/32", "::ffff:10.0.0.1"]
    now = CheckedAccess(ConfigStore(find({"NEXUS_TRAY_HOME": str(tmp_path)}))).update(
        {"access": {"deny_addresses": wished}}, None
    )
    assert list(now.settings.access.deny_addresses) == wished
