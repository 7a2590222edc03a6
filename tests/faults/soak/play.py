"""One run: fault after fault, what must hold meanwhile, and what came of it."""

import contextlib
import sys
import time
from dataclasses import dataclass, field

from tests.faults.soak import recorder
from tests.faults.soak.house import House
from tests.faults.soak.schedule import Fault, draw
from tests.faults.soak.watch import MOST_LEFT, MOST_MORE, Size, grown, size_of

STEP = 0.5
SETTLES = 10.0
"""Seconds of quiet before what is held at the end is counted."""


@dataclass
class Report:
    """What was seen. `slow`: recoveries in seconds by the fault's name."""

    seed: int
    faults: list[str] = field(default_factory=list)
    slow: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    first: Size | None = None
    last: Size | None = None
    seconds: float = 0.0

    def say(self, text: str) -> None:
        """On the terminal, and for the end."""
        self.faults.append(text)
        sys.stderr.write(text + "\n")


def play(house: House, seed: int, seconds: float) -> Report:
    """Faults of that seed until the time is over; then a last look at everything."""
    report, began = Report(seed), time.monotonic()
    house.wait_works(60)
    talk(house, 3.0)
    report.first = size_of(house.program.program_pid())
    for fault in draw(seed, 100_000):
        if time.monotonic() - began > seconds or report.wrong:
            break
        one(house, fault, report, began)
        report.wrong += so_far(house, report)
    if not report.wrong:
        report.wrong += at_the_end(house, report)
    report.seconds = time.monotonic() - began
    return report


def one(house: House, fault: Fault, report: Report, began: float) -> None:
    """A rest, the fault while the phone talks on, and how long until all works again."""
    talk(house, fault.rest)
    at = time.monotonic() - began
    name = f"{fault.name}+{fault.beside}" if fault.beside else fault.name
    with contextlib.ExitStack() as pulled:
        pulled.enter_context(house.fault(fault.name))
        if fault.beside:
            pulled.enter_context(house.fault(fault.beside))
        talk(house, fault.hold)
    ended = time.monotonic()
    while not house.works():
        if time.monotonic() - ended > fault.within:
            told = f"{name}: nothing works after {fault.within:.0f} s (load {house.load():.1f})"
            report.wrong.append(told)
            break
        time.sleep(0.2)
    took = time.monotonic() - ended
    report.slow.setdefault(fault.name, []).append(took)
    report.say(
        f"{at:7.1f} s  #{fault.number} {name}, held {fault.hold} s: works after {took:.1f} s"
    )


def talk(house: House, seconds: float) -> None:
    """The phone goes on with its conversation for so long; what does not get through does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if house.phone.say_next():
            house.phone.read()
        time.sleep(min(STEP, max(0.0, end - time.monotonic())))


def so_far(house: House, report: Report) -> list[str]:
    """What is wrong by now."""
    wrong = house.watch.wrong + house.phone.wrong + house.strangers.wrong
    if seen := recorder.seen(house.notes, recorder.STRANGER):
        wrong = [*wrong, f"{seen} requests of strangers reached OpenCode"]
    with contextlib.suppress(Exception):  # it may just be beginning anew
        assert report.first is not None
        now = size_of(house.program.program_pid())
        wrong = [*wrong, *grown(report.first, now, MOST_MORE)]
    return wrong


def at_the_end(house: House, report: Report) -> list[str]:
    """Nothing is missing, nothing is twice, nothing has stayed behind."""
    phone = house.phone
    talk(house, 3.0)
    time.sleep(SETTLES)
    wrong = so_far(house, report)
    if not phone.read():
        wrong.append("the conversation cannot be read")
    if not phone.seen:
        wrong.append("no message was ever seen: the phone did not talk")
    if not recorder.seen(house.notes, recorder.OWNER):
        wrong.append("the recorder never saw the owner: it proves nothing of strangers")
    if not house.strangers.knocks or not house.watch.lines.known:
        wrong.append("no stranger knocked, or no log line was seen: nothing is proved")
    wrong += house.watch.check_lines()
    assert report.first is not None
    report.last = size_of(house.program.program_pid())
    return wrong + grown(report.first, report.last, MOST_LEFT)


def told(report: Report, house: House) -> str:
    """The figures, in Markdown."""
    count = sum(map(len, report.slow.values()))
    lines = [
        (
            f"Seed {report.seed}, {report.seconds / 60:.1f} minutes, {count} faults, tree "
            f"{house.revision()}, load {house.load():.1f}. {house.strangers.knocks:,} knocks of "
            f"strangers, none of which reached OpenCode; {len(house.phone.seen)} messages of the "
            f"conversation, {house.phone.replies} replies; "
            f"{len(house.watch.lines.known):,} log lines; "
            f"{house.watch.looks:,} looks at what is shown."
        ),
        f"Held at first {report.first}, at the end {report.last}.",
        "",
        "| fault | times | works again after, median | at most |",
        "| --- | --- | --- | --- |",
    ]
    for name, took in sorted(report.slow.items()):
        middle = sorted(took)[len(took) // 2]
        lines.append(f"| {name} | {len(took)} | {middle:.1f} s | {max(took):.1f} s |")
    return "\n".join(lines)
