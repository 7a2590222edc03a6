"""The first start over real files, a real HTTPS server and real downloads."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nexus_tray.app.folder import CheckedFolder, trouble
from nexus_tray.app.setup import Ground, SetupKeeper
from nexus_tray.commands import CancelFetch, FetchTool, PassStep, RestoreTool
from nexus_tray.core.driver import Wish
from nexus_tray.model import Desired, Facts, Problem, ServiceKind, ServiceState
from nexus_tray.reports import ToolState
from nexus_tray.services import binaries
from nexus_tray.services.download import install_cloudflared
from nexus_tray.services.progress import Progress
from nexus_tray.settings import Settings
from nexus_tray.store.config import ConfigStore
from tests.api.doubles import first_snapshot, service, until
from tests.services.test_download import PROGRAM, Server


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


class Place:
    """A machine on which nothing is installed; `posted` is what the supervisor was told."""

    def __init__(
        self,
        folder: Path,
        installers: dict[str, Callable[[Progress], Path]],
        search_path: str = "",
    ) -> None:
        self.search_path = search_path
        self.folder, self.posted, self.applied = folder, [], 0  # type: ignore[var-annotated]
        self.password = False
        self.installers = installers
        failed = service("quick", ServiceKind.TUNNEL, state=ServiceState.FAILED)
        self.snapshot = first_snapshot().__class__(
            **{
                **{
                    name: getattr(first_snapshot(), name)
                    for name in first_snapshot().__struct_fields__
                },
                "services": (service("opencode", ServiceKind.OPENCODE), failed),
            }
        )

    def keeper(self) -> SetupKeeper:
        def post(name: str, item: Any) -> None:
            self.posted.append((name, item))

        def reapply() -> None:
            self.applied += 1

        made = SetupKeeper(
            Ground(
                file=self.folder / "data" / "setup.json",
                tools=self.folder / "tools",
                started_in=self.folder,
                settings=Settings,
                search_path=lambda: self.search_path,
                has_password=lambda: self.password,
                snapshot=lambda: self.snapshot,
                post=post,
                reapply=reapply,
            ),
            self.installers,
        )
        made.begin()
        return made


def do(keeper: SetupKeeper, command: Any) -> None:
    keeper.table()[type(command)](command)


def tool(keeper: SetupKeeper, name: str = "cloudflared") -> ToolState:
    return next(tool for tool in keeper.read().tools if tool.name == name)


def test_a_missing_program_is_fetched_and_what_lacked_it_starts(
    server: Server, tmp_path: Path
) -> None:
    pin = server.pin(PROGRAM)

    def install(progress: Progress) -> Path:
        return install_cloudflared(
            tmp_path / "tools", pin=pin, trust=server.trust, progress=progress
        )

    place = Place(tmp_path, {"cloudflared": install})
    keeper = place.keeper()
    before = tool(keeper)
    assert before.path is None
    assert before.reason is not None
    do(keeper, FetchTool(name="cloudflared"))
    until(lambda: bool(place.posted))
    found = tool(keeper)
    assert (found.version, found.fetch, found.reason) == ("2026.8.2", None, None)
    assert place.applied == 1
    assert place.posted == [("quick", Wish(Desired.RUNNING))]
    keeper.close()


def test_a_download_that_fails_says_why_and_can_be_tried_again(
    server: Server, tmp_path: Path
) -> None:
    pin = server.pin(PROGRAM)
    server.files.clear()
    place = Place(
        tmp_path,
        {"cloudflared": lambda progress: install_cloudflared(
            tmp_path / "tools", pin=pin, trust=server.trust, progress=progress)},
    )  # fmt: skip
    keeper = place.keeper()
    do(keeper, FetchTool(name="cloudflared"))
    until(lambda: "404" in str(tool(keeper).reason))
    assert "By hand" in str(tool(keeper).reason)
    server.pin(PROGRAM)
    do(keeper, FetchTool(name="cloudflared"))
    until(lambda: tool(keeper).path is not None)


def test_a_cancelled_download_leaves_nothing(server: Server, tmp_path: Path) -> None:
    pin = server.pin(PROGRAM * 100_000)
    ended: list[str] = []

    def install(progress: Progress) -> Path:
        def slow(done: int, total: int | None) -> None:
            progress(done, total)
            if done:
                until(lambda: bool(ended))
                progress(done, total)

        return install_cloudflared(tmp_path / "tools", pin=pin, trust=server.trust, progress=slow)

    keeper = Place(tmp_path, {"cloudflared": install}).keeper()
    do(keeper, FetchTool(name="cloudflared"))
    until(lambda: (tool(keeper).fetch or _none()).done_bytes > 0)
    fetch = tool(keeper).fetch
    assert fetch is not None
    assert fetch.total_bytes == len(PROGRAM) * 100_000
    do(keeper, CancelFetch(name="cloudflared"))
    assert tool(keeper).fetch is None
    ended.append("now")
    until(lambda: not [path for path in (tmp_path / "tools").rglob("*") if path.is_file()])
    keeper.close()


def _none() -> Any:
    from nexus_tray.reports import Fetch

    return Fetch()


def test_how_far_it_has_come_is_kept(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    first = place.keeper()
    assert not first.read().finished
    do(first, PassStep(step="password"))
    do(first, PassStep(step="password"))
    place.password = True  # set on the way: it is not over by that
    second = place.keeper()
    assert (second.read().passed, second.read().finished) == (("password",), False)
    do(second, PassStep(step="finish"))
    assert place.keeper().read().finished
    with pytest.raises(Problem) as refused:
        do(second, PassStep(step="dance"))
    assert refused.value.reason.code == "step-unknown"


def test_who_had_everything_before_is_not_led_through_it(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    place.password = True
    assert place.keeper().read().finished


def test_a_damaged_file_only_begins_it_anew(tmp_path: Path) -> None:
    place = Place(tmp_path, {})
    do(place.keeper(), PassStep(step="tools"))
    (tmp_path / "data" / "setup.json").write_text("{")
    assert place.keeper().read().passed == ()


def test_a_project_folder_has_to_be_there(paths: Any, tmp_path: Path) -> None:
    for folder in ("relative", "/nowhere/at/all", str(Path(__file__)), "a\0b", "~nobody-here/x"):
        assert trouble(folder) is not None, folder
    assert trouble(str(tmp_path)) is None
    store = CheckedFolder(ConfigStore(paths))
    with pytest.raises(Problem) as refused:
        store.update({"opencode": {"directory": "/nowhere"}}, None)
    assert refused.value.reason.code == "folder-missing"
    assert store.read().settings.opencode.directory == ""


def own_copy(tools: Path, version: str) -> Path:
    program = binaries.cloudflared_shelf(tools).at(version)
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho cloudflared version {version}\n")
    program.chmod(0o755)
    return program


def test_our_own_copy_that_is_older_is_updated_and_one_can_go_back(
    server: Server, tmp_path: Path
) -> None:
    tools = tmp_path / "tools"
    own_copy(tools, "2025.11.1")
    pin = server.pin(PROGRAM)
    place = Place(
        tmp_path,
        {"cloudflared": lambda progress: install_cloudflared(
            tools, pin=pin, trust=server.trust, progress=progress)},
    )  # fmt: skip
    keeper = place.keeper()
    old = tool(keeper)
    assert (old.version, old.fetchable, old.restorable) == ("2025.11.1", True, None)
    assert old.reason is not None
    assert old.reason.code == "tool-old"
    quick = service("quick", ServiceKind.TUNNEL, facts=Facts(version="2025.11.1"))
    place.snapshot = msgspec.structs.replace(place.snapshot, services=(quick,))
    do(keeper, FetchTool(name="cloudflared"))
    until(lambda: tool(keeper).version == "2026.8.2")
    new = tool(keeper)
    assert (new.fetchable, new.restorable) == (False, "2025.11.1")
    assert new.reason is not None
    assert new.reason.code == "tool-restart"
    assert "nexus-tray restart quick" in new.reason.cure
    said = keeper.table()[RestoreTool](RestoreTool(name="cloudflared"))
    assert said == "cloudflared 2025.11.1 is used from its next start on."
    back = tool(keeper)
    assert (back.version, back.fetchable, back.restorable) == ("2025.11.1", True, None)
    with pytest.raises(Problem, match="no earlier"):
        keeper.table()[RestoreTool](RestoreTool(name="cloudflared"))
    with pytest.raises(Problem, match="no program"):
        keeper.table()[RestoreTool](RestoreTool(name="emacs"))
    keeper.close()


def test_a_program_of_the_users_own_is_not_ours_to_update(tmp_path: Path) -> None:
    program = own_copy(tmp_path / "elsewhere", "2025.11.1")
    keeper = Place(tmp_path, {}, search_path=str(program.parent)).keeper()
    found = tool(keeper)
    assert (found.path, found.fetchable, found.restorable) == (str(program), False, None)
