"""Run by landed.py with one commit's code on its path: fills a home through that code alone.

`python landed_filler.py HOME`, with PYTHONPATH at the commit's tree. What a commit does not have
yet, it does not write. Whatever a call of an older version does not know is left out of the call.
"""

import contextlib
import importlib
import inspect
import json
import re
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

NOW = 1_795_000_000.0
PASSPHRASE = "an older version's passphrase"
HOST = "code.example.com"
TUNNEL = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
# The first that suits a setting's pattern, and is not its default, is what it is set to.
TEXTS = (
    HOST, "203.0.113.0/24", "22:00", "DE", "http://localhost:5173", TUNNEL, "0123456789abcdef" * 2,
    "/home/person/code",
)  # fmt: skip


def there(name: str) -> ModuleType | None:
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(f"nexus_tray.{name}")
    return None


def called(function: Callable[..., Any], **known: Any) -> Any:
    """Call it with as much of `known` as it takes."""
    takes = inspect.signature(function).parameters
    return function(**{name: value for name, value in known.items() if name in takes})


class Values:
    """Something that is not the default, for whatever a JSON schema describes."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.schemas = schemas

    def of(self, schema: dict[str, Any]) -> Any:
        if "$ref" in schema:
            schema = {**self.schemas[schema["$ref"].rsplit("/", 1)[1]], **schema}
        if "enum" in schema:
            return next(
                (one for one in schema["enum"] if one != schema.get("default")), schema["enum"][0]
            )
        match schema.get("type"):
            case "integer":
                low, high = schema.get("minimum", 0), schema.get("maximum", 9)
                return low + (high - low) // 3
            case "boolean":
                return not schema.get("default", False)
            case "string":
                return self.text(schema)
            case "array":
                return self.several(schema["items"])
        return self.object(schema)

    def text(self, schema: dict[str, Any]) -> str:
        pattern = schema.get("pattern", "").replace(r"\Z", "$")
        fitting = [text for text in TEXTS if re.search(pattern, text)] if pattern else TEXTS[-1:]
        return next(text for text in fitting if text != schema.get("default"))

    def object(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {key: self.of(one) for key, one in schema["properties"].items() if key != "version"}

    def several(self, schema: dict[str, Any]) -> list[Any]:
        """One; of tunnels one of each kind."""
        inner = self.schemas.get(schema.get("$ref", "").rsplit("/", 1)[-1], {})
        kinds = inner.get("properties", {}).get("kind", {}).get("enum")
        if not kinds:
            return [self.of(schema)]
        return [{**self.of(schema), "kind": kind, "name": f"the-{kind}-one"} for kind in kinds]


def settings(paths: Any) -> None:
    import msgspec

    config = there("store.config")
    if config is None:
        return
    shape = importlib.import_module("nexus_tray.settings").Settings
    values = Values(msgspec.json.schema(shape)["$defs"])
    store = config.ConfigStore(paths)
    store.load()
    store.update(values.object(values.schemas["Settings"]))


def sign_in(paths: Any) -> None:
    accounts = there("store.accounts")
    if accounts is None:
        return
    audit = importlib.import_module("nexus_tray.store.audit")
    opened = importlib.import_module("nexus_tray.store.database").open_database
    database = called(opened, path=paths.database, now=NOW)
    trail = called(audit.Audit, database=database, clock=lambda: NOW)
    kept = accounts.Accounts(database, trail, lambda password: f"hash of {len(password)}", clock)
    kept.set_password("correct horse battery")
    for door, host in (("tunnel", HOST), ("local", "127.0.0.1:4100")):
        row = called(
            accounts.SessionRow, id=f"at-{door}", door=door, host=host, name="Firefox on Linux",
            address="203.0.113.7", created_at=NOW, seen_at=NOW, expires_at=NOW + 604800,
            how="pairing" if door == "tunnel" else "ticket", idle=2_592_000.0, country="DE",
            received=7, sent=8,
        )  # fmt: skip
        called(
            kept.add_session, row=row, token=f"token of {door}", password_id=None, old=None
        )  # fmt: skip
    kept.end_session("nobody", "owner", "local")
    (paths.data / "ticket.txt").write_text(kept.new_ticket("/somewhere"))
    trail.record(audit.AuditEvent("sign-in-failed"), "", "198.51.100.9", "wrong")
    if pairings := there("store.pairings"):
        pairings.Pairings(database, trail, clock).make(HOST, "My phone")
    if passkeys := there("store.passkeys"):
        made = passkeys.NewPasskey(b"a credential", b"a public key", 7, HOST, "My key")
        stands = {"session_id": "at-tunnel", "password_id": kept.password().id}
        passkeys.Passkeys(database, trail, clock).add(made, "owner", "local", **stands)
    if tokens := there("store.api_tokens"):
        tokens.ApiTokens(database, trail, clock).make("laptop", "full", 30)
    if factor := there("store.second_factor"):
        factor.SecondFactorStore(database, trail, clock).turn_on("abcd", 59_833_333)
    database.close()


def clock() -> float:
    return NOW


def logs(paths: Any) -> None:
    module = there("store.logs")
    if module is None:
        return
    level = importlib.import_module("nexus_tray.model").Level
    store = module.LogStore(paths.log_database, 1_000_000, clock)
    for number in range(300):
        grave = level.ERROR if number % 50 == 0 else level.INFO
        store.append("opencode", grave, f"line {number} of an older version")
    deadline = time.monotonic() + 20
    while store._file.newest < 300 or store._file.unindexed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.close()


def traffic(paths: Any) -> None:
    module = there("store.history")
    if module is None:
        return
    point = importlib.import_module("nexus_tray.reports").TrafficPoint
    store = module.History(paths.traffic_database, NOW, print)
    for second in range(0, 600, 20):
        passed = point(at=NOW + second, requests=2, bytes_in=30, bytes_out=40, latency_ms=5.0)
        called(store.record, second=passed, doors={"quick": passed})
    store.close(NOW + 600)


def secrets(paths: Any) -> None:
    module = there("store.secrets")
    if module is None:
        return
    # The file is what is used where no keyring answers; the keyring of whoever records is his own.
    vars(importlib.import_module("nexus_tray.store.secret_keyring"))["_BACKENDS"] = ()
    store = module.SecretStore(paths)
    store.unlock(PASSPHRASE)
    store.set("ANTHROPIC_API_KEY", "the key of a provider")
    if hasattr(store, "set_tunnel_token"):
        store.set_tunnel_token(TUNNEL, "the token of a tunnel")
    if hasattr(store, "set_sign_in_secret"):
        store.set_sign_in_secret("abcd", "the secret of codes")


def small_files(paths: Any) -> None:
    if module := there("store.pause_file"):
        module.write(paths.pause_file, module.PauseRecord(until_at=NOW + 3600))
    if module := there("store.setup_file"):
        module.write(paths.setup_file, module.SetupRecord(passed=("opencode",), finished=True))
    if module := there("services.transport"):
        known = called(module.Transports, file=paths.data / "transport.json", wall=clock)
        known.worked("http2", "0123456789abcdef")
    if module := there("services.shelf"):
        checked = paths.data / "arrived"
        checked.write_bytes(b"#!/bin/sh\n")
        module.Shelf(paths.tools / "cloudflared", "cloudflared").put("2026.8.2", checked, "0" * 64)


def jobs(paths: Any) -> None:
    module = there("app.jobs")
    if module is None:
        return
    model = importlib.import_module("nexus_tray.model")

    def made(course: Any) -> str:
        course.memo["tunnel_id"] = TUNNEL
        if hasattr(course, "remember"):
            course.remember()
        return "made"

    def failed(course: Any) -> str:
        raise model.Problem(model.Reason(code="no", hop=model.Hop.GATEWAY, what="No."))

    steps = [module.Step("create", "Make the tunnel", made), module.Step("lead", "Lead it", failed)]
    plan = module.Plan(steps) if hasattr(module, "Plan") else steps
    seen: list[Any] = []
    keeper = module.JobKeeper(paths.jobs_file, {"make-tunnel": lambda _: plan}, seen.append, clock)
    keeper.start("make-tunnel", "work", {"name": "work", "hostname": HOST})
    deadline = time.monotonic() + 20
    while seen[-1:] == [] or seen[-1][0].state not in ("failed", "done"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    keeper.close()


def main(home: str) -> None:
    paths = importlib.import_module("nexus_tray.paths").find({"NEXUS_TRAY_HOME": home})
    paths.data.mkdir(mode=0o700, parents=True)
    wrong = {}
    for part in (settings, sign_in, logs, traffic, secrets, small_files, jobs):
        try:
            part(paths)
        except Exception as error:  # noqa: BLE001
            wrong[part.__name__] = repr(error)
    sys.stdout.write(json.dumps(wrong))


if __name__ == "__main__":
    main(sys.argv[1])
