"""What happens when, from a seed: pure, so that a failure can be played again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of fault. `hold`: seconds that it lasts, at least and at most (0: a moment).
    `within`: seconds after its end in which everything works again; what has to be noticed
    first, because nothing tells it, has more than half a minute. `weight`: how often."""

    name: str
    hold: tuple[float, float] = (0.0, 0.0)
    within: float = 30.0
    weight: int = 2


KINDS = (
    Kind("kill-opencode", weight=3),
    Kind("stop-opencode", within=75.0),
    Kind("kill-cloudflared", weight=3),
    Kind("stop-cloudflared", within=75.0, weight=1),
    Kind("kill-program", weight=3),
    Kind("restart-program"),
    Kind("flood", (2.0, 4.0)),
    Kind("edge-drop", weight=3),
    Kind("edge-shut", (3.0, 8.0), within=60.0),
    Kind("edge-frozen", (5.0, 15.0), within=90.0, weight=1),
    Kind("disk-refuses", (2.0, 6.0)),
    Kind("clock-back", (3.0, 8.0)),
    Kind("slept"),
    Kind("suspended", (3.0, 10.0), within=60.0),
    Kind("settings", weight=1),
    Kind("password", weight=1),
    Kind("revocation"),
)
BY_NAME = {kind.name: kind for kind in KINDS}
BESIDE = 0.25
"""How often a second fault comes while the first holds."""
_ALONE = frozenset(("restart-program", "kill-program", "suspended"))
"""Not together with another: there would be nothing to pull the other's lever at."""


SPARED = 15
"""Faults after a kill of the program in which it is not killed again: the guard gives a program up
that ended six times in ten minutes (`system.guard`), and is right to."""


@dataclass(frozen=True)
class Fault:
    """One of the schedule. `rest`: seconds of quiet before it; `hold`: how long it lasts;
    `beside`: another one, begun while it holds, or ""."""

    number: int
    name: str
    rest: float
    hold: float
    beside: str = ""

    @property
    def within(self) -> float:
        """Seconds after its end until everything must work again."""
        return max(BY_NAME[name].within for name in (self.name, self.beside) if name)


def draw(seed: int, count: int) -> tuple[Fault, ...]:
    """The first `count` faults of that seed."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    for number in range(count):
        [kind] = chance.choices(KINDS, [one.weight for one in KINDS])
        if kind.name == "kill-program" and any(f.name == kind.name for f in faults[-SPARED:]):
            kind = BY_NAME["restart-program"]
        other = chance.choice(KINDS).name
        together = chance.random() < BESIDE and not _ALONE & {kind.name, other}
        hold = round(chance.uniform(*kind.hold), 1)
        beside = other if together and other != kind.name else ""
        faults.append(Fault(number, kind.name, round(chance.uniform(0.5, 4.0), 1), hold, beside))
    return tuple(faults)
