"""Notifications from the backend to a real bus and back: told, clicked, refused, ended."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from nexus_tray.app.notify import Notify, on_desktop
from nexus_tray.commands import AnswerPermission, AnyCommand, ShowWindow
from nexus_tray.core.local_backend import LocalBackend
from nexus_tray.desktop.notifier_bus import BusNotifier
from nexus_tray.model import Activity, Hop, Problem, Question, QuestionKind, Reason
from nexus_tray.reports import Access, AuditEntry
from tests.api.doubles import House, MemoryLogs, house, reports, until
from tests.desktop.notification_host import Desk
from tests.desktop.tray_host import private_bus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own service")

QUESTION = Question(
    id="per_1", kind=QuestionKind.PERMISSION, session_id="s", directory="/w", title="bash",
    detail="git push",
)  # fmt: skip
LATE = Reason(code="answered", hop=Hop.OPENCODE, what="It was answered elsewhere.")


@dataclass
class Lab:
    """A program's notifications with all around them real but the program."""

    house: House[MemoryLogs]
    desk: Desk
    trail: list[AuditEntry] = field(default_factory=list)
    reads: int = 0
    answer: str = ""
    late: bool = False
    broken: bool = False

    def backend(self) -> LocalBackend:
        asked = replace(reports(), access=self._access)
        handlers = dict.fromkeys(AnyCommand.__args__, self._carry_out)
        return LocalBackend(
            self.house.journal, self.house.logs, self.house.settings, handlers, asked
        )

    def _access(self) -> Access:
        self.reads += 1
        return Access(password=True, trail=tuple(self.trail))

    def newest(self) -> int:
        if self.broken:
            raise Problem(LATE)
        return self.trail[0].id if self.trail else 0

    def enter(self, number: int) -> None:
        self.trail.insert(0, AuditEntry(
            id=number, at=0.0, event="sign-in", who="Chrome on Android",
            address="203.0.113.7", text="",
        ))  # fmt: skip

    def _carry_out(self, command: Any) -> str:
        self.house.came.append(command)
        if self.late:
            raise Problem(LATE)
        return self.answer


@pytest.fixture
def lab() -> Iterator[Lab]:
    with private_bus() as address:
        desk = Desk(address)
        made = Lab(house(), desk)
        notify = Notify(
            made.backend(),
            made.newest,
            lambda on_click: BusNotifier(address, on_click),
            minute=lambda: 0,
            pace=0.01,
            wake=0.05,
        )
        notify.start()
        try:
            yield made
        finally:
            notify.stop()
            desk.wait(lambda: not desk.screen)
            made.house.journal.close()
            notify.join()
            desk.close()
    until(lambda: not {t.name for t in threading.enumerate()} & {"notices", "notice clicks"})


def test_a_question_is_answered_on_its_notification(lab: Lab) -> None:
    lab.house.say(activity=Activity(questions=(QUESTION,)))
    shown = lab.desk.find("OpenCode asks to run a command")
    lab.desk.invoke(shown.number, "0")
    until(lambda: lab.house.came == [AnswerPermission(question_id="per_1", reply="once")])
    assert lab.desk.notified == 1


def test_answered_elsewhere_takes_it_back_and_a_click_opens_the_page(lab: Lab) -> None:
    lab.house.say(activity=Activity(questions=(QUESTION,)))
    lab.desk.find("OpenCode asks to run a command")
    lab.house.say(activity=Activity())
    lab.desk.wait(lambda: not lab.desk.screen)
    until(lambda: lab.reads == 1)
    lab.enter(1)
    shown = lab.desk.find("New sign-in")
    assert "Chrome on Android from 203.0.113.7" in shown.text
    assert shown.urgency == 2
    lab.desk.invoke(shown.number, "default")
    until(lambda: lab.house.came == [ShowWindow(page="/access")])


def test_where_the_page_came_is_told_if_it_needs_a_word(lab: Lab) -> None:
    lab.answer = "For a window of its own, install GTK."
    lab.house.say(activity=Activity(questions=(QUESTION,)))
    lab.desk.invoke(lab.desk.find("OpenCode asks to run a command").number, "default")
    assert lab.desk.find("The dashboard is in the browser").text == lab.answer


def test_a_refusal_is_told(lab: Lab) -> None:
    lab.late = True
    lab.house.say(activity=Activity(questions=(QUESTION,)))
    lab.desk.invoke(lab.desk.find("OpenCode asks to run a command").number, "2")
    assert lab.desk.find("It was not done").text == LATE.what


def test_settings_count_at_once_and_a_trail_that_cannot_be_read_is_read_later(lab: Lab) -> None:
    lab.broken = True
    lab.house.settings.update({"notifications": {"level": "off"}}, None)
    lab.house.say(activity=Activity(questions=(QUESTION,)))
    lab.house.say(address="https://blue-moon.trycloudflare.com")
    lab.house.settings.update(
        {"notifications": {"level": "all", "quiet_from": "23:00", "quiet_to": "01:00"}}, None
    )
    lab.broken = False
    until(lambda: lab.reads == 1)  # those from before are known
    lab.enter(1)
    lab.enter(2)
    lab.desk.wait(lambda: lab.desk.notified)
    assert lab.reads <= 3
    assert "OpenCode asks to run a command" not in lab.desk.titles()
    lab.house.settings.update({"notifications": {"quiet_from": ""}}, None)
    lab.desk.find("OpenCode asks to run a command")


def test_without_a_bus_the_program_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    made = house()
    notify = on_desktop(made.backend, lambda: 0, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/none"})
    notify.start()
    until(lambda: "There are no notifications" in caplog.text)
    notify.stop()
    made.journal.close()
    notify.join()
