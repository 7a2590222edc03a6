"""An examination is over in time, and no check can spoil another."""

import logging
import threading
import time

import pytest

from nexus_tray.app.examination import Examiner, Look
from nexus_tray.finding import Finding, good, unknown
from nexus_tray.model import Hop, Problem, Reason
from nexus_tray.reports import CheckState


def fails() -> Finding:
    raise ZeroDivisionError


def cannot() -> Finding:
    raise Problem(Reason(code="x", hop=Hop.GATEWAY, what="The bus is gone."))


def test_each_finding_stands_in_its_place(caplog: pytest.LogCaptureFixture) -> None:
    looks = [
        Look("a", "A", lambda: good("7")),
        Look("b", "B", fails),
        Look("c", "C", cannot),
        Look("d", "D", lambda: unknown("not known")),
    ]
    with caplog.at_level(logging.ERROR):
        found = Examiner("/home/ada").run(lambda: looks)
    assert [(check.code, check.state) for check in found.checks] == [
        ("a", CheckState.GOOD), ("b", CheckState.UNKNOWN), ("c", CheckState.UNKNOWN),
        ("d", CheckState.UNKNOWN),
    ]  # fmt: skip
    assert "ZeroDivisionError" in found.checks[1].text
    assert "check “b” failed" in caplog.text
    assert found.checks[2].text == "The bus is gone."


def test_what_hangs_is_not_waited_for_and_not_begun_twice() -> None:
    over, begun = threading.Event(), []

    def hang() -> Finding:
        begun.append(1)
        over.wait(30)
        return good("at last")

    examiner = Examiner("/home/ada")
    looks = [Look("hang", "Hangs", hang, 0.2), Look("well", "Well", lambda: good("1"))]
    began = time.monotonic()
    for _ in range(2):
        found = examiner.run(lambda: looks)
        assert [check.state for check in found.checks] == [CheckState.UNKNOWN, CheckState.GOOD]
        assert found.checks[0].text == "did not answer within 0 s"
    assert time.monotonic() - began < 5
    assert len(begun) == 1
    over.set()
    deadline = time.monotonic() + 10
    while examiner.run(lambda: looks).checks[0].text != "at last":
        assert time.monotonic() < deadline


def test_who_asks_meanwhile_gets_the_same() -> None:
    may, begun, looked = threading.Event(), threading.Event(), []

    def look() -> Finding:
        looked.append(1)
        begun.set()
        may.wait(10)
        return good("1")

    examiner = Examiner("/home/ada")
    looks = [Look("a", "A", look)]
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(examiner.run(lambda: looks)))
        for _ in range(3)
    ]
    threads[0].start()
    assert begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    while sum(thread.is_alive() for thread in threads) < 3:
        pass
    may.set()
    for thread in threads:
        thread.join(10)
    assert len(looked) <= 2  # one who came after the end examines anew
    assert len(answers) == 3


def test_one_that_cannot_begin_does_not_lock_the_next_out() -> None:
    examiner = Examiner("/home/ada")
    with pytest.raises(Problem):
        examiner.run(lambda: [Look("a", "A", cannot())])  # type: ignore[arg-type]
    assert examiner.run(list).checks == ()
