"""The settings: strict, migrated, changed one at a time; nothing wrong ever gets in or out."""

import json
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.model import Problem
from nexus_tray.paths import Paths
from nexus_tray.settings import SCHEMA_VERSION, Configuration, Settings
from nexus_tray.store import config_document as document
from nexus_tray.store import files
from nexus_tray.store.config import ConfigStore


@pytest.fixture
def store(paths: Paths) -> ConfigStore:
    return ConfigStore(paths)


def put(paths: Paths, content: bytes | dict[str, Any]) -> None:
    files.ensure_private_dir(paths.config)
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    files.write_atomic(paths.config_file, data)


def reason(action: Any, *arguments: Any) -> tuple[str, str]:
    with pytest.raises(Problem) as caught:
        action(*arguments)
    return caught.value.reason.code, str(caught.value.reason)


def test_missing_means_defaults_and_reading_writes_nothing(
    store: ConfigStore, paths: Paths
) -> None:
    assert store.read().settings == Settings()
    assert not paths.config.exists()


def test_a_change_is_saved_and_found_again(store: ConfigStore, paths: Paths) -> None:
    changed = store.update({"gateway": {"local_port": 4711}})
    assert changed == store.read() == ConfigStore(paths).load()
    assert changed.settings.gateway.local_port == 4711
    assert stat.S_IMODE(paths.config_file.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX")
def test_a_folder_that_others_may_write_to_is_refused(store: ConfigStore, paths: Paths) -> None:
    put(paths, {"version": SCHEMA_VERSION})
    paths.config.chmod(0o777)
    code, said = reason(store.load)
    assert code == "file-open-to-others"
    assert f"chmod 700 '{paths.config}'" in said
    paths.config.chmod(0o755)
    assert store.load().settings == Settings()
    assert stat.S_IMODE(paths.config.stat().st_mode) == 0o700


def test_null_puts_the_default_back(store: ConfigStore) -> None:
    first = store.read()
    store.update({"opencode": {"directory": "/x", "enabled": False}, "tunnels": []})
    assert (
        store.update({"opencode": {"directory": None, "enabled": None}, "tunnels": None}) == first
    )


def test_nothing_changed_writes_nothing_and_tells_nobody(store: ConfigStore, paths: Paths) -> None:
    told: list[Configuration] = []
    first = store.load()
    store.listen(told.append)
    assert store.update({}) == store.update({"logs": {"max_megabytes": 256}}) == first
    assert told == []
    assert not paths.config_file.exists()


class TestEtag:
    def test_the_present_one_changes(self, store: ConfigStore) -> None:
        before = store.read()
        after = store.update({"logs": {"max_megabytes": 5}}, before.etag)
        assert after.etag != before.etag

    def test_an_old_one_does_not(self, store: ConfigStore) -> None:
        before = store.read()
        after = store.update({"logs": {"max_megabytes": 5}}, before.etag)
        code, _ = reason(store.update, {"logs": {"max_megabytes": 6}}, before.etag)
        assert code == "config-changed"
        assert store.read() == after

    def test_an_edit_by_hand_counts_as_a_change_and_is_kept(
        self, store: ConfigStore, paths: Paths
    ) -> None:
        before = store.update({"logs": {"max_megabytes": 5}})
        put(paths, {"version": 1, "opencode": {"directory": "/by/hand"}})
        code, _ = reason(store.update, {"logs": {"max_megabytes": 6}}, before.etag)
        assert code == "config-changed"
        after = store.update({"logs": {"max_megabytes": 6}}).settings
        assert (after.opencode.directory, after.logs.max_megabytes) == ("/by/hand", 6)

    def test_of_many_at_once_with_one_etag_one_wins(self, store: ConfigStore) -> None:
        etag = store.read().etag
        won: list[int] = []

        def change(size: int) -> None:
            try:
                store.update({"logs": {"max_megabytes": size}}, etag)
            except Problem:
                return
            won.append(size)

        threads = [threading.Thread(target=change, args=(size,)) for size in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [store.read().settings.logs.max_megabytes]


def test_listeners_hear_every_change_in_order(store: ConfigStore) -> None:
    told: list[int] = []
    store.listen(lambda new: told.append(new.settings.logs.max_megabytes))

    def change(start: int) -> None:
        for size in range(start, start + 10):
            store.update({"logs": {"max_megabytes": size}})

    threads = [threading.Thread(target=change, args=(start,)) for start in (1000, 2000, 3000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 30
    assert told[-1] == store.read().settings.logs.max_megabytes


WRONG: list[tuple[Any, str, str]] = [
    ({"gateway": {"local_port": 70000}}, "gateway.local_port cannot be 70000", "from 0 to 65535"),
    ({"gateway": {"local_port": "80"}}, "gateway.local_port cannot be '80'", "from 0 to 65535"),
    ({"gateway": {"local_port": True}}, "gateway.local_port cannot be True", "whole number"),
    ({"gateway": {"local_port": 1.0}}, "gateway.local_port cannot be 1.0", "whole number"),
    ({"gateway": {"lokal_port": 1}}, "no setting 'gateway.lokal_port'", "local_port"),
    ({"gatewai": {}}, "no setting 'gatewai'", "opencode, gateway"),
    ({"gateway": []}, "gateway cannot be []", "an object"),
    ({"opencode": {"enabled": "yes"}}, "opencode.enabled cannot be 'yes'", "true or false"),
    ({"opencode": {"directory": "a\0b"}}, "opencode.directory", "without control characters"),
    ({"opencode": {"directory": "\ud800"}}, "opencode.directory", "without control characters"),
    ({"opencode": {"environment": [1]}}, "opencode.environment[0] cannot be 1", "text"),
    ({"opencode": {"environment": "PATH"}}, "opencode.environment", "a list"),
    ({"tunnels": [{"name": "--config=x"}]}, "tunnels[0].name cannot be '--config=x'", "letters"),
    ({"tunnels": [{"name": "a\n"}]}, "tunnels[0].name", "letters"),
    ({"tunnels": [{}]}, "tunnels[0].name cannot be nothing", "letters"),
    ({"tunnels": [{"name": "a", "transport": "h3"}]}, "tunnels[0].transport", "auto, http2, quic"),
    ({"tunnels": [{"name": "a"}, {"name": "a"}]}, "tunnels[1].name cannot be 'a'", "no other"),
    ({"logs": {"max_megabytes": 0}}, "logs.max_megabytes cannot be 0", "from 1 to 10000"),
    ({"logs": {"max_megabytes": 10**5000}}, "logs.max_megabytes", "from 1 to 10000"),
    ({"version": 1}, "version cannot be 1", "not yours"),
    ({1: 2}, "no setting '1'", "opencode"),
]


@pytest.mark.parametrize(("change", "names", "allows"), WRONG)
def test_a_wrong_value_is_named_with_what_is_allowed(
    store: ConfigStore, change: Any, names: str, allows: str
) -> None:
    before = store.update({"logs": {"max_megabytes": 7}})
    code, text = reason(store.update, change)
    assert code == "config-invalid"
    assert names in text
    assert allows in text
    assert store.read() == before


def test_endless_nesting_is_refused(store: ConfigStore) -> None:
    change: dict[str, Any] = {}
    for _ in range(3000):
        change = {"gateway": change}
    assert reason(store.update, change)[0] == "config-invalid"


# RFC 7396, appendix A; null as a whole document is not a change of settings and left out.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_as_the_rfc_has_it(target: Any, patch: Any, result: Any) -> None:
    before = json.dumps(target)
    assert document.merged(target, patch) == result
    assert json.dumps(target) == before, "the target itself is not changed"


class TestDamage:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b'{"version": 1,\n  x}', "line 2, column 3"),
            (b'{"version": 1', "ends too early"),
            (b"", "ends too early"),
            (b"[]", "no object"),
            (b"\xff\xfe", "line 1, column 1"),
            (b"[" * 200_000, "cannot be read"),
            (b"\0" * 4096, "line 1, column 1"),
        ],
    )
    def test_is_named_left_alone_and_never_taken_for_defaults(
        self, store: ConfigStore, paths: Paths, content: bytes, says: str
    ) -> None:
        store.update({"logs": {"max_megabytes": 7}})
        put(paths, content)
        fresh = ConfigStore(paths)
        for action in (fresh.load, fresh.read, lambda: fresh.update({"logs": None})):
            code, text = reason(action)
            assert code == "config-damaged"
            assert says in text
            assert str(paths.config_file) in text
            assert "config.json.good" in text
        assert paths.config_file.read_bytes() == content

    def test_the_last_good_copy_is_offered_and_the_damaged_kept_aside(
        self, store: ConfigStore, paths: Paths
    ) -> None:
        store.update({"logs": {"max_megabytes": 7}})
        good = store.update({"logs": {"max_megabytes": 8}})
        put(paths, b"{")
        fresh = ConfigStore(paths)
        assert fresh.last_good() == good
        assert fresh.restore_last_good(now=0.0) == good == ConfigStore(paths).load()
        aside = paths.config_file.with_name("config.json.damaged-19700101T000000Z")
        assert aside.read_bytes() == b"{"

    def test_without_a_good_copy_that_is_said(self, paths: Paths) -> None:
        put(paths, b"{")
        store = ConfigStore(paths)
        code, text = reason(store.load)
        assert code == "config-damaged"
        assert "config.json.good" not in text
        assert reason(store.restore_last_good, 0.0)[0] == "config-no-good-copy"
        assert paths.config_file.read_bytes() == b"{"

    def test_a_wrong_value_in_the_file_is_named(self, paths: Paths) -> None:
        put(paths, {"version": 1, "gateway": {"local_port": -1}})
        code, text = reason(ConfigStore(paths).load)
        assert code == "config-invalid"
        assert "gateway.local_port cannot be -1" in text

    def test_a_good_edit_by_hand_becomes_the_good_copy(
        self, store: ConfigStore, paths: Paths
    ) -> None:
        store.update({"logs": {"max_megabytes": 7}})
        put(paths, {"version": 1, "logs": {"max_megabytes": 9}})
        assert ConfigStore(paths).load() == store.last_good()

    def test_a_file_open_to_others_is_refused(self, store: ConfigStore, paths: Paths) -> None:
        store.update({"logs": {"max_megabytes": 7}})
        paths.config_file.chmod(0o666)
        assert reason(ConfigStore(paths).load)[0] == "file-open-to-others"
        assert reason(store.update, {"logs": {"max_megabytes": 8}})[0] == "file-open-to-others"


class TestVersions:
    def test_the_table_reaches_today(self) -> None:
        assert len(document.MIGRATIONS) == SCHEMA_VERSION

    def test_each_is_applied_once_in_order_and_changes_no_input(self) -> None:
        old = {"version": 1, "order": ""}

        def step(name: str) -> document.Migration:
            return lambda before: {**before, "order": before["order"] + name}

        table = (step("a"), step("b"), step("c"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(document, "SCHEMA_VERSION", 3)
            assert document.migrate(old, table) == {"version": 3, "order": "bc"}
        assert old == {"version": 1, "order": ""}

    def test_none_is_the_first_and_its_file_is_kept(self, paths: Paths) -> None:
        old = {"logs": {"max_megabytes": 9}}
        put(paths, old)
        loaded = ConfigStore(paths).load()
        assert loaded.settings == msgspec.structs.replace(
            Settings(), logs=msgspec.convert({"max_megabytes": 9}, type(Settings().logs))
        )
        kept = paths.config_file.with_name("config.json.v0")
        assert json.loads(kept.read_bytes()) == old
        assert json.loads(paths.config_file.read_bytes())["version"] == SCHEMA_VERSION
        assert ConfigStore(paths).load() == loaded

    def test_a_newer_one_refuses_to_start_and_is_never_overwritten(self, paths: Paths) -> None:
        content = b'{"version": %d, "shiny": true}' % (SCHEMA_VERSION + 1)
        store = ConfigStore(paths)
        good = store.update({"logs": {"max_megabytes": 7}})
        put(paths, content)
        for action in (ConfigStore(paths).load, lambda: store.update({"logs": None})):
            code, text = reason(action)
            assert code == "config-newer"
            assert "newer" in text
        assert paths.config_file.read_bytes() == content
        assert store.last_good() == good

    @pytest.mark.parametrize("version", [-1, True, 1.5, "1", []])
    def test_a_version_that_is_none_is_refused(self, paths: Paths, version: object) -> None:
        put(paths, {"version": version})
        assert reason(ConfigStore(paths).load)[0] == "config-invalid"


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70_000), st.floats(), st.text(max_size=5)
)
anything = st.recursive(
    leaves, lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(max_size=3), below)
)
tunnel = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "quick", "A", "-", ""])},
    optional={
        "kind": st.sampled_from(["quick", "named"]),
        "enabled": st.booleans() | leaves,
        "transport": st.sampled_from(["auto", "quic", "http2", "tcp"]) | leaves,
    },
)
patches = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([0, 1, 2, None]),
        "opencode": st.none()
        | anything
        | st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans() | leaves,
                "directory": st.text(max_size=8) | leaves,
                "environment": st.lists(st.text(max_size=4) | leaves, max_size=2),
            },
        ),
        "gateway": st.fixed_dictionaries({}, optional={"local_port": leaves}) | anything,
        "tunnels": st.none() | st.lists(tunnel, max_size=3) | anything,
        "logs": st.fixed_dictionaries({}, optional={"max_megabytes": leaves}),
        "other": anything,
    },
)


@given(changes=st.lists(patches, max_size=6))
def test_any_change_yields_valid_settings_or_changes_nothing(
    changes: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home: Path = tmp_path_factory.mktemp("walk")
    paths = Paths(config=home / "c", data=home / "d", run=home / "r", tools=home / "t")
    store = ConfigStore(paths)
    for change in changes:
        before = store.read()
        on_disk = paths.config_file.read_bytes() if paths.config_file.exists() else None
        try:
            after = store.update(change)
        except Problem as problem:
            refused = problem.reason.code
            assert refused == "config-invalid"
            assert store.read() == before
            assert on_disk == (
                paths.config_file.read_bytes() if paths.config_file.exists() else None
            )
            continue
        assert store.read() == after == ConfigStore(paths).load()
        assert msgspec.json.decode(msgspec.json.encode(after.settings), type=Settings) == (
            after.settings
        )
        assert (after.etag == before.etag) == (after.settings == before.settings)
