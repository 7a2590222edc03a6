"""The compiled gateway (`build/native.py`) is the same gateway: the same tests, on a copy of it.

What is left out here looks at the sources' own texts. The whole of tests/gateway and tests/security
runs so by hand: `python build/native.py` in a clone, then `python -m pytest` there.
"""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("tests", "build", "docs", "pyproject.toml")
SUITES = (
    *("tests/gateway/test_framing.py", "tests/gateway/test_glances.py"),
    *("tests/gateway/test_previews.py", "tests/gateway/test_relay.py"),
    *("tests/gateway/test_rules.py", "tests/gateway/test_shaping.py"),
    *("tests/security/test_differential.py", "tests/security/test_headers.py"),
    "tests/security/test_smuggling.py",
)
LEFT_OUT = "tests/gateway/test_rules.py::test_every_refusal_names_its_attack"
SHOW = "from nexus_tray.gateway.relay import visitor; print(visitor.__file__)"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product and its tests, with the gateway compiled."""
    tree = tmp_path_factory.mktemp("native")
    run(ROOT, "build/native.py", str(tree))
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, tree / part)
    return tree


def run(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-8000:]
    return ran.stdout


@pytest.mark.timeout(900)
def test_the_compiled_gateway_passes_the_same_tests(tree: Path) -> None:
    assert run(tree, "-c", SHOW).strip().endswith((".so", ".pyd"))
    told = run(
        tree,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"),
        *("--deselect", LEFT_OUT, *SUITES),
    )
    passed = int(told.rpartition(" passed")[0].split()[-1])
    assert passed > 1500


def test_a_body_that_is_a_text_alone_is_not_compiled(tmp_path: Path) -> None:
    """mypyc 2.4 gives such a function no end: what runs on after it is the next one's code."""
    native = runpy.run_path(str(ROOT / "build/native.py"))
    source = tmp_path / "module.py"
    source.write_text(
        'def shape(x: int) -> int | None:\n    """Nothing."""\n\n'
        'def fine(x: int) -> None:\n    """Nothing."""\n\n'
        'class Seam(Protocol):\n    def shape(self) -> int:\n        """What."""\n'
    )
    assert native["endless"](source) == ["shape"]
    assert all(not native["endless"](ROOT / path) for path in native["sources"](ROOT))
