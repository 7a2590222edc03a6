"""The open questions to authenticators, walked at random: each is good once, to its asker, at its
host, in its time; and nobody's are pushed out by one other address."""

from unittest.mock import patch

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nexus_tray.gateway.signin import passkeys as judge
from nexus_tray.gateway.signin.passkeys import LASTS, MOST_OF_ONE, Challenges

ASKERS = [f"{place}-{number}" for place in range(3) for number in range(MOST_OF_ONE + 3)]
HOSTS = ["code.example.com", "lab.example.com"]
MOST = 2 * MOST_OF_ONE + 3  # fewer than three addresses may have together


def address(asker: str) -> str:
    return f"192.0.2.{asker[0]}"


class Walk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.challenges = Challenges(lambda: self.now)
        self.kept: list[tuple[str, str, bytes, float]] = []  # oldest first, as it should be

    def drop(self, asker: str) -> None:
        self.kept = [one for one in self.kept if one[0] != asker]

    @rule(asker=st.sampled_from(ASKERS), host=st.sampled_from(HOSTS))
    def ask(self, asker: str, host: str) -> None:
        with patch.object(judge, "MOST", MOST):
            challenge = self.challenges.ask(asker, host, address(asker), f"about {asker}")
        assert len(challenge) >= 32
        assert all(challenge != one[2] for one in self.kept)
        self.drop(asker)
        self.kept = [one for one in self.kept if self.now - one[3] < LASTS]
        same = [one for one in self.kept if address(one[0]) == address(asker)]
        if len(same) >= MOST_OF_ONE:
            self.kept.remove(same[0])
        if len(self.kept) >= MOST:
            self.kept.pop(0)
        self.kept.append((asker, host, challenge, self.now))

    @rule(asker=st.sampled_from(ASKERS), host=st.sampled_from(HOSTS))
    def take(self, asker: str, host: str) -> None:
        found = self.challenges.take(asker, host)
        wanted = next((one for one in self.kept if one[0] == asker), None)
        good = wanted is not None and wanted[1] == host and self.now - wanted[3] < LASTS
        assert (found is not None) == good
        if found is not None and wanted is not None:
            assert (found.challenge, found.about) == (wanted[2], f"about {asker}")
        self.drop(asker)
        assert self.challenges.take(asker, host) is None, "it is used up, whatever came of it"

    @rule(seconds=st.sampled_from([0.1, 1.0, LASTS / 2, LASTS]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def is_bounded(self) -> None:
        assert list(self.challenges._open) == [one[0] for one in self.kept]
        assert len(self.challenges) <= MOST
        places = [one.address for one in self.challenges._open.values()]
        assert all(places.count(place) <= MOST_OF_ONE for place in places)
        assert sum(map(len, self.challenges._askers.values())) == len(self.challenges)


TestWalk = Walk.TestCase
