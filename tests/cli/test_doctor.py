"""`nexus-tray doctor`: words, JSON, report and exit code, with and without a running program."""

import dataclasses
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nexus_tray import cli
from nexus_tray.cli.console import Paint
from nexus_tray.cli.doctor import picture, report
from nexus_tray.commands import Repair
from nexus_tray.paths import Paths
from nexus_tray.reports import Bundle, BundleFile, Check, CheckState, Examination
from tests.api.doubles import EXAMINATION, house
from tests.cli.desk import Desk, instance
from tests.dashboard.house import examined

FOUND = examined(1_700_000_000.0)


def saying(found: Examination) -> Any:
    made = house()
    made.reports = dataclasses.replace(made.reports, examine=lambda: found)
    return made


def only(*states: CheckState) -> Examination:
    checks = [Check(code=str(n), title="T", state=one, text="x") for n, one in enumerate(states)]
    return Examination(at=1.0, checks=tuple(checks))


@pytest.mark.parametrize(
    ("states", "code", "words"),
    [
        ((CheckState.GOOD,), 0, "1 good"),
        ((CheckState.WARNING, CheckState.UNKNOWN), 0, "1 to attend to, 1 not known"),
        ((CheckState.GOOD, CheckState.BAD), 1, "1 wrong, 1 good"),
        ((), 0, "Nothing was examined."),
    ],
)
def test_the_exit_code_says_whether_something_is_wrong(
    paths: Paths, states: tuple[CheckState, ...], code: int, words: str
) -> None:
    with instance(paths, saying(only(*states))):
        said = Desk(paths)("doctor")
    assert (said.code, said.out.splitlines()[-1]) == (code, words)


def test_in_words_in_json_and_as_a_report(paths: Paths) -> None:
    desk = Desk(paths)
    with instance(paths, saying(FOUND)):
        words, values, plain = desk("doctor"), desk("doctor", "--json"), desk("doctor", "--report")
    assert f"✖ wrong      {'Clock':<27}  This computer's clock is 12 minu" in words.out
    assert "             Choose one: nexus-tray password set" in words.out
    assert [check["state"] for check in values.json["checks"]][:2] == ["warning", "good"]
    assert plain.out == report(FOUND) + "\n"
    assert plain.out.startswith("Nexus Tray, examined 2023-11-14 22:13:20 UTC\n")


@pytest.mark.parametrize("width", [80, 100, 132])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = picture(FOUND, Paint(), width)
    assert max(map(len, lines)) <= width
    joined = " ".join(" ".join(lines).split())
    assert "Have the system set its clock by the network." in joined


def test_without_a_running_program_it_examines_alone(paths: Paths) -> None:
    desk = Desk(paths)
    asked: list[Paths] = []

    def examine(at: Paths) -> Examination:
        asked.append(at)
        return EXAMINATION

    def main(argv: Any, **given: Any) -> int:
        return plain(argv, examine=examine, **given)

    plain = cli.main
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "main", main)
        said = desk("doctor")
        refused = desk("status")
    assert (said.code, asked) == (0, [paths])
    assert "right within 1 s" in said.out
    assert refused.code == 3


BUNDLE = Bundle(at=1.7e9, files=(BundleFile(name="about.txt", text="wörds"),))


def test_a_bundle_is_written_for_us_alone_and_never_over_something(
    paths: Paths, tmp_path: Path
) -> None:
    made, file, asked = house(), tmp_path / "help.zip", []

    def bundle() -> Bundle:
        asked.append(1)
        return BUNDLE

    made.reports = dataclasses.replace(made.reports, bundle=bundle)
    with instance(paths, made):
        said = Desk(paths)("doctor", "--bundle", str(file))
        again = Desk(paths)("doctor", "--bundle", str(file))
    assert said.code == 0
    assert "        6 bytes  about.txt" in said.out
    assert f"nothing else, is in {file}" in said.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as pack:
        assert pack.read("nexus-tray-support/about.txt").decode() == "wörds"
    assert again.code != 0
    assert "is there already" in again.err
    assert asked == [1], "seconds are not spent on what cannot be written"


def test_a_bundle_without_a_running_program(paths: Paths, tmp_path: Path) -> None:
    plain, file = cli.main, tmp_path / "help.zip"

    def main(argv: Any, **given: Any) -> int:
        return plain(argv, examine=lambda _: EXAMINATION, bundle=lambda _: BUNDLE, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "main", main)
        said = Desk(paths)("doctor", "--bundle", str(file))
        refused = Desk(paths)("doctor", "--repair", "gateway")
    assert said.code == 0
    assert file.is_file()
    assert refused.code != 0
    assert "only it repairs" in refused.err


def test_a_repair_is_offered_by_its_command_and_done(paths: Paths) -> None:
    broken = Check(
        code="gateway", title="Gateway", state=CheckState.BAD, text="shut",
        repair="Restart the gateway",
    )  # fmt: skip
    made = saying(Examination(at=1.0, checks=(broken,)))
    with instance(paths, made):
        assert (
            "Restart the gateway: nexus-tray doctor --repair gateway" in Desk(paths)("doctor").out
        )
        done = Desk(paths)("doctor", "--repair", "gateway")
    assert done.code == 0
    assert made.came[-1] == Repair(code="gateway")
