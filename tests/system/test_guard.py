"""The guard's decisions as tables, and that both kinds of hands look alike."""

import ast
from pathlib import Path

import pytest

from nexus_tray.system import guard

SYSTEM = Path(guard.__file__).parent


@pytest.mark.parametrize(
    ("starts", "now", "wait"),
    [
        ([0], 0.1, 1),
        ([0, 1], 1.1, 2),
        ([0, 1, 3], 3.1, 4),
        ([0, 1, 3, 7], 7.1, 8),
        ([0, 1, 3, 7, 15], 15.1, 16),
        ([0, 1, 3, 7, 15, 31], 31.1, None),
        ([0, 1, 3, 7, 15], 75, 1),  # it ran well for a minute
        ([0, 1, 3, 7, 15, 601], 601.1, 8),  # two are longer ago than ten minutes
        ([0, 1000, 2000, 3000, 4000, 5000, 6000], 6000.1, 1),
        ([0, 100, 200, 300, 400, 500], 560, None),
    ],
)
def test_waits_double_and_a_loop_gives_up(
    starts: list[float], now: float, wait: float | None
) -> None:
    assert guard.back_off(starts, now) == wait


def test_a_loop_of_instant_crashes_ends_within_six_starts() -> None:
    """SECURITY 19, for the program itself."""
    now, starts = 0.0, [0.0]
    while (wait := guard.back_off(starts, now)) is not None:
        assert 1 <= wait <= 60
        now += wait
        starts.append(now)
    assert len(starts) == 6


def test_both_wards_offer_the_same() -> None:
    def methods(module: str) -> dict[str, list[str]]:
        tree = ast.parse((SYSTEM / f"{module}.py").read_text(encoding="utf-8"))
        ward = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Ward")
        found = [node for node in ward.body if isinstance(node, ast.FunctionDef)]
        return {
            node.name: [arg.arg for arg in node.args.args]
            for node in found
            if not node.name.startswith("_")
        }

    assert methods("guard_posix") == methods("guard_windows")


@pytest.mark.parametrize("value", ["", "x", "-1"])
def test_without_a_guard_there_is_nothing_to_watch(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(guard.PIPE, value)
    assert guard.watch(lambda: pytest.fail("called")) is False
