"""Over the whole program: an address is proved, its certificate told, and a dead one named."""

import json

import pytest

from nexus_tray.model import ServiceState
from tests.cloudflare.lab import Lab
from tests.e2e.conftest import PASSWORD
from tests.e2e.program import Program

pytestmark = pytest.mark.timeout(120)


def test_an_address_is_proved_and_its_certificate_told(program: Program, lab: Lab) -> None:
    program.start()
    assert program.cli("password", "set", given=PASSWORD + "\n").returncode == 0
    snapshot = program.wait_for(
        lambda now: (quick := now.service("quick")) and quick.facts.proved_at, 60, "proved"
    )
    quick = snapshot.service("quick")
    assert quick is not None
    assert quick.facts.round_trip_ms
    assert quick.state in (ServiceState.STARTING, ServiceState.RUNNING)
    program.wait_running("quick")
    told = program.cli("tunnel", "status", "quick", "--json")
    assert told.returncode == 0, told.stderr
    said = json.dumps(json.loads(told.stdout))
    address = program.snapshot().address
    assert address is not None
    assert address.removeprefix("https://") in said
    assert '"trusted": true' in said
    assert '"changes": 0' in said
    assert "issued by" in program.cli("tunnel", "status", "quick").stdout
    assert (
        "/_nexus/proof/" not in program.cli("logs").stdout
    )  # whoever reads logs learns no question
