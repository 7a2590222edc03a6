"""Provider keys: never in plain text, never printed, and nobody waits for a hanging keyring."""

import gc
import json
import logging
import stat
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nexus_tray.model import Problem, to_json
from nexus_tray.paths import Paths
from nexus_tray.store import secret_keyring
from nexus_tray.store.secret_file import open_file
from nexus_tray.store.secrets import SecretPlace, SecretStore
from tests.store import session_bus

PASSPHRASE = "correct horse battery staple"
CANARY = "sk-canary-4b1d-do-not-show"


def code(action: Any, *arguments: Any) -> str:
    with pytest.raises(Problem) as caught:
        action(*arguments)
    assert CANARY not in repr(caught.value)
    return caught.value.reason.code


@pytest.fixture(autouse=True)
def no_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may reach the keyring of whoever runs it."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/nowhere")


@pytest.fixture
def store(paths: Paths) -> SecretStore:
    return SecretStore(paths)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with session_bus.bus(tmp_path) as found:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", found)
        yield found


@pytest.fixture
def its_own_sockets() -> Iterator[None]:
    """SecretStorage leaves its connection to the collector when the keyring is locked."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class TestNoKeyring:
    def test_nothing_is_kept_until_there_is_a_passphrase(
        self, store: SecretStore, paths: Paths
    ) -> None:
        state = store.state()
        assert state.place is SecretPlace.NONE
        assert state.reason is not None
        assert "passphrase" in state.reason.cure
        assert store.all() == {}
        assert code(store.set, "OPENAI_API_KEY", CANARY) == "secrets-no-keyring"
        assert not paths.secrets_file.exists()

    def test_then_they_are_in_an_encrypted_file_that_says_so(
        self, store: SecretStore, paths: Paths
    ) -> None:
        store.unlock(PASSPHRASE)
        store.set("OPENAI_API_KEY", CANARY)
        store.set("A_KEY", "other")
        store.set("A_KEY", "newer")
        state = store.state()
        assert state.place is SecretPlace.FILE
        assert state.reason is not None
        assert state.reason.code == "secrets-in-file"
        assert "encrypted with your passphrase" in state.reason.what
        assert store.names() == ("A_KEY", "OPENAI_API_KEY")
        assert (store.get("A_KEY"), store.get("NONE")) == ("newer", None)
        content = paths.secrets_file.read_bytes()
        assert CANARY.encode() not in content
        assert b"OPENAI" not in content
        assert stat.S_IMODE(paths.secrets_file.stat().st_mode) == 0o600

    def test_after_a_restart_it_is_closed_until_opened(
        self, store: SecretStore, paths: Paths
    ) -> None:
        store.unlock(PASSPHRASE)
        store.set("A_KEY", CANARY)
        again = SecretStore(paths)
        assert again.state().place is SecretPlace.FILE_LOCKED
        for action in (again.all, again.names):
            assert code(action) == "secrets-file-locked"
        assert code(again.set, "A_KEY", "x") == "secrets-file-locked"
        assert code(again.delete, "A_KEY") == "secrets-file-locked"
        assert code(again.unlock, PASSPHRASE + "!") == "secrets-passphrase-wrong"
        assert again.state().place is SecretPlace.FILE_LOCKED
        again.unlock(PASSPHRASE)
        assert again.all() == {"A_KEY": CANARY}
        again.delete("A_KEY")
        again.delete("A_KEY")
        assert again.all() == {}

    def test_a_short_passphrase_makes_no_file(self, store: SecretStore, paths: Paths) -> None:
        assert code(store.unlock, "short") == "secrets-passphrase-short"
        assert not paths.secrets_file.exists()


class TestFile:
    def test_each_write_has_its_own_nonce(self, tmp_path: Path) -> None:
        path = tmp_path / "d" / "secrets.enc"
        file = open_file(path, PASSPHRASE)
        seen = set()
        for _ in range(5):
            file.write({"A": "same"})
            seen.add(json.loads(path.read_bytes())["nonce"])
        assert len(seen) == 5

    def test_the_costs_are_those_of_the_policy(self, tmp_path: Path) -> None:
        path = tmp_path / "d" / "secrets.enc"
        open_file(path, PASSPHRASE)
        costs = json.loads(path.read_bytes())["argon2id"]
        assert {key: costs[key] for key in ("memory", "time", "lanes")} == {
            "memory": 65536, "time": 3, "lanes": 4,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("change", "costs", "expected"),
        [
            ({"sealed": "A" * 40}, {}, "secrets-passphrase-wrong"),
            ({}, {"memory": 8192}, "secrets-passphrase-wrong"),
            ({}, {"memory": 2**31}, "secrets-file-damaged"),
            ({}, {"time": 17}, "secrets-file-damaged"),
            ({}, {"salt": ""}, "secrets-file-damaged"),
            ({"version": 2}, {}, "secrets-file-newer"),
            ({"version": 0}, {}, "secrets-file-damaged"),
            ({"nonce": ""}, {}, "secrets-file-damaged"),
            ({"more": 1}, {}, "secrets-file-damaged"),
        ],
    )
    def test_a_changed_file_is_refused(
        self, tmp_path: Path, change: dict[str, Any], costs: dict[str, Any], expected: str
    ) -> None:
        path = tmp_path / "d" / "secrets.enc"
        open_file(path, PASSPHRASE).write({"A": CANARY})
        content = json.loads(path.read_bytes()) | change
        content["argon2id"] |= costs
        path.write_bytes(json.dumps(content).encode())
        before = path.read_bytes()
        assert code(open_file, path, PASSPHRASE) == expected
        assert path.read_bytes() == before

    def test_a_planted_or_open_file_is_refused(self, store: SecretStore, paths: Paths) -> None:
        store.unlock(PASSPHRASE)
        paths.secrets_file.chmod(0o644)
        assert code(SecretStore(paths).unlock, PASSPHRASE) == "file-open-to-others"
        assert code(store.set, "A", "x") == "file-open-to-others"


@pytest.mark.parametrize(
    "name",
    ["", "1A", "A-B", "A B", "A=B", "A\n", "É", "a" * 129, "PATH", "path", "LD_PRELOAD",
     "NEXUS_TRAY_HOME", "TUNNEL_TOKEN", "OPENCODE_SERVER_PASSWORD", CANARY],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused_unrepeated(store: SecretStore, name: str) -> None:
    assert code(store.set, name, "x") == "secret-name-invalid"


@pytest.mark.parametrize(
    "secret", ["", "x" * 8193, CANARY + "\n", CANARY + "\0", CANARY + "\ud800"]
)
def test_a_value_that_cannot_be_is_refused_unrepeated(store: SecretStore, secret: str) -> None:
    assert code(store.set, "A_KEY", secret) == "secret-invalid"


def test_reading_makes_no_new_keyring(
    paths: Paths, tmp_path: Path, address: str, its_own_sockets: None
) -> None:
    """Where there is none yet, asking for it would have the desktop ask for a new password."""
    store = SecretStore(paths, time_limit=5.0)
    with session_bus.gnome_keyring(address, tmp_path / "home", None):
        assert store.all() == {}
        assert store.names() == ()
        assert store.state().place is SecretPlace.KEYRING
        store.delete("OPENAI_API_KEY")


class TestRealKeyring:
    def test_secrets_are_in_it_and_no_file_is_made(
        self, store: SecretStore, paths: Paths, address: str, tmp_path: Path
    ) -> None:
        with session_bus.gnome_keyring(address, tmp_path / "home", "pass"):
            assert store.state().place is SecretPlace.KEYRING
            assert store.state().reason is None
            store.set("B_KEY", CANARY)
            store.set("A_KEY", "other")
            store.set("A_KEY", "newer")
            assert SecretStore(paths).all() == {"A_KEY": "newer", "B_KEY": CANARY}
            assert SecretStore(paths, service="another").all() == {}
            store.delete("A_KEY")
            store.delete("A_KEY")
            assert store.names() == ("B_KEY",)
            assert code(store.unlock, PASSPHRASE) == "secrets-in-keyring"
        assert not paths.secrets_file.exists()

    @pytest.mark.usefixtures("its_own_sockets")
    def test_a_locked_one_is_said_within_three_seconds(
        self, store: SecretStore, address: str, tmp_path: Path
    ) -> None:
        with session_bus.gnome_keyring(address, tmp_path / "home", "pass"):
            store.set("A_KEY", CANARY)
        with session_bus.gnome_keyring(address, tmp_path / "home", None):
            began = time.monotonic()
            state = store.state()
            assert time.monotonic() - began < 3
            assert state.place is SecretPlace.LOCKED
            assert state.reason is not None
            assert "locked" in state.reason.what
            assert code(store.all) == "secrets-locked"
            store.unlock(PASSPHRASE)
            assert store.state().place is SecretPlace.FILE

    @pytest.mark.usefixtures("its_own_sockets")
    def test_one_that_hangs_is_said_within_three_seconds_and_at_once_from_then_on(
        self, store: SecretStore, address: str
    ) -> None:
        with session_bus.hanging_keyring(address):
            began = time.monotonic()
            assert store.state().place is SecretPlace.LOCKED
            assert 2 < time.monotonic() - began < 3
            for action in (store.all, store.names):
                assert code(action) == "secrets-locked"
            assert code(store.set, "A_KEY", CANARY) == "secrets-locked"
            assert time.monotonic() - began < 3
            assert sum(thread.name == "keyring" for thread in threading.enumerate()) == 1
        deadline = time.monotonic() + 10
        while any(thread.name == "keyring" for thread in threading.enumerate()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


class Fake:
    """A keyring that does what a test wants of it."""

    viable = True

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, entry: str) -> str | None:
        self.gate.wait(60)
        if self.error:
            raise self.error
        return self.entries.get((service, entry))

    def set_password(self, service: str, entry: str, text: str) -> None:
        if self.error:
            raise self.error
        self.entries[service, entry] = text

    def delete_password(self, service: str, entry: str) -> None:
        del self.entries[service, entry]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()
    monkeypatch.setattr(secret_keyring, "_find_backend", lambda: made)
    yield made
    made.gate.set()


def test_a_keyring_that_is_unlocked_later_works_then(paths: Paths, fake: Fake) -> None:
    store = SecretStore(paths, time_limit=0.05)
    store.set("A_KEY", CANARY)
    fake.gate.clear()
    assert store.state().place is SecretPlace.LOCKED
    fake.gate.set()
    deadline = time.monotonic() + 10
    while store.state().place is not SecretPlace.KEYRING:
        assert time.monotonic() < deadline
    assert store.get("A_KEY") == CANARY


TUNNEL = "af0179a9-31d8-41ae-baa9-a0d3b0c6a6f3"
FACTOR = "9f1c0d2e4b6a8071"


@pytest.mark.parametrize("in_file", [True, False])
def test_a_tunnels_token_is_never_among_opencodes_keys(
    paths: Paths, fake: Fake, in_file: bool
) -> None:
    store = SecretStore(paths)
    if in_file:
        fake.error = Problem(secret_keyring.NO_KEYRING)
        assert code(store.tunnel_token, TUNNEL) == "secrets-no-keyring"
        assert code(store.set_tunnel_token, TUNNEL, CANARY) == "secrets-no-keyring"
        store.unlock(PASSPHRASE)
    store.set("A_KEY", "x")
    store.set_tunnel_token(TUNNEL, CANARY)
    store.set("B_KEY", "y")
    store.delete("A_KEY")
    assert store.tunnel_token(TUNNEL) == CANARY
    assert store.all() == {"B_KEY": "y"}
    assert store.names() == ("B_KEY",)
    assert store.get(f"tunnel:{TUNNEL}") is None
    assert store.tunnel_token(TUNNEL.replace("a", "b")) is None
    store.delete_tunnel_token(TUNNEL)
    store.delete_tunnel_token(TUNNEL)
    assert store.tunnel_token(TUNNEL) is None
    assert store.all() == {"B_KEY": "y"}


@pytest.mark.parametrize("in_file", [True, False])
def test_the_second_factors_secret_is_nobody_elses(paths: Paths, fake: Fake, in_file: bool) -> None:
    """Not among OpenCode's keys, nor the tunnels', by any name; it outlives a restart."""
    store = SecretStore(paths)
    if in_file:
        fake.error = Problem(secret_keyring.NO_KEYRING)
        assert code(store.sign_in_secret, FACTOR) == "secrets-no-keyring"
        assert code(store.set_sign_in_secret, FACTOR, CANARY) == "secrets-no-keyring"
        store.unlock(PASSPHRASE)
    store.set_tunnel_token(TUNNEL, "t")
    store.set_sign_in_secret(FACTOR, CANARY)
    store.set("A_KEY", "x")
    assert store.all() == {"A_KEY": "x"}
    assert store.tunnel_token(FACTOR) is None
    assert store.sign_in_secret(TUNNEL) is None
    for name in (FACTOR, f"sign-in:{FACTOR}", f"factor_{FACTOR}"):
        assert store.get(name) is None
    again = SecretStore(paths)
    if in_file:
        assert code(again.sign_in_secret, FACTOR) == "secrets-file-locked"
        again.unlock(PASSPHRASE)
        assert CANARY.encode() not in paths.secrets_file.read_bytes()
    assert again.sign_in_secret(FACTOR) == CANARY
    again.set_sign_in_secret("another", "y")
    again.delete_sign_in_secret(FACTOR)
    again.delete_sign_in_secret(FACTOR)
    assert again.sign_in_secret(FACTOR) is None
    assert again.sign_in_secret("another") == "y"
    assert (again.tunnel_token(TUNNEL), again.all()) == ("t", {"A_KEY": "x"})


def test_the_second_factors_secret_is_out_of_reach_while_the_keyring_is_locked(
    paths: Paths, fake: Fake
) -> None:
    store = SecretStore(paths, time_limit=0.05)
    store.set_sign_in_secret(FACTOR, CANARY)
    fake.gate.clear()
    began = time.monotonic()
    assert code(store.sign_in_secret, FACTOR) == "secrets-locked"
    assert code(store.delete_sign_in_secret, FACTOR) == "secrets-locked"
    assert time.monotonic() - began < 5.0


def test_a_tunnels_token_is_out_of_reach_while_the_keyring_is_locked(
    paths: Paths, fake: Fake
) -> None:
    store = SecretStore(paths, time_limit=0.05)
    store.set_tunnel_token(TUNNEL, CANARY)
    fake.gate.clear()
    assert code(store.tunnel_token, TUNNEL) == "secrets-locked"


def test_an_entry_is_never_out_of_the_index(paths: Paths, fake: Fake) -> None:
    """A fault between the two writes leaves a name without secret, never the reverse."""
    store = SecretStore(paths)
    fake.entries["nexus-tray", "names"] = '["LOST_KEY", "bad name"]'
    assert store.all() == {}
    store.delete("LOST_KEY")
    store.set("A_KEY", "x")
    assert json.loads(fake.entries["nexus-tray", "names"]) == ["A_KEY"]


@pytest.mark.parametrize("error", [ValueError(CANARY), UnicodeEncodeError("x", CANARY, 0, 1, "y")])
def test_nothing_secret_in_exceptions_reprs_or_logs(
    paths: Paths, fake: Fake, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = SecretStore(paths)
    store.set("A_KEY", CANARY)
    shown = [repr(store), repr(vars(store)), to_json(store.state()).decode()]
    fake.error = error
    for action in (lambda: store.set("A_KEY", CANARY), store.all, lambda: store.delete("A_KEY")):
        with pytest.raises(Problem) as caught:
            action()
        problem = caught.value
        trace = traceback.TracebackException.from_exception(problem)
        shown += [repr(problem), str(problem), "".join(trace.format())]
        assert problem.__cause__ is problem.__context__ is None
    file = open_file(paths.secrets_file, PASSPHRASE)
    file.write({"A_KEY": CANARY})
    shown += [repr(file), caplog.text]
    assert not [text for text in shown if CANARY in text or PASSPHRASE in text]


@pytest.mark.parametrize(
    "chosen", ["keyring.backends.null.Keyring", "keyrings.alt.file.PlaintextKeyring"]
)
def test_no_other_keyring_is_taken_whatever_the_environment_says(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: str
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", chosen)
    config = tmp_path / "python_keyring"
    config.mkdir()
    (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={chosen}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert code(store.set, "A_KEY", CANARY) == "secrets-no-keyring"
    assert store.state().place is SecretPlace.NONE
