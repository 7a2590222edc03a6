"""Imports go down only. Walks every module's syntax tree; each ban says why."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nexus_tray"

# room or module -> layer; a module named here beats its room
LAYERS = {
    "model": 0, "commands": 1, "reports": 1, "settings": 0.5, "paths": 1, "inert": 1,
    "finding": 1.5,
    "core.driver": 1,  # what drivers and machine say to each other: words, no deeds
    "core": 2, "store": 2, "gateway.http": 2, "gateway.relay.rules": 2, "gateway.relay.framing": 2,
    "gateway.routes": 2, "cloudflare": 2,
    "system": 3, "services": 3, "gateway": 3,
    "api": 4, "desktop": 4, "cli": 4,
    "app": 5, "__main__": 6,
}  # fmt: skip

BANS = {
    "subprocess": ({"services", "system"}, "children are started where their trees are watched"),
    "keyring": ({"store.secrets"}, "one place knows secrets"),
    "pystray": ({"desktop"}, "no other room may load a toolkit"),
    "webview": ({"desktop"}, "no other room may load a toolkit"),
    "sqlite3": ({"store"}, "one room knows the databases"),
    "bottle": ({"api"}, "the gateway must not grow a second web framework"),
}


def modules() -> list[tuple[str, ast.Module]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found.append((name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def layer(module: str) -> float:
    if module == "__init__":
        return 0
    for name in (module, module.split(".")[0]):
        if name in LAYERS:
            return LAYERS[name]
    pytest.fail(f"{module} stands in no layer: name its room in LAYERS")


def imports(tree: ast.Module) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: absolute imports only"
            assert node.module is not None
            if node.module == "nexus_tray":
                found += [(node.lineno, f"nexus_tray.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module))
    return found


@pytest.mark.parametrize(("module", "tree"), modules(), ids=[name for name, _ in modules()])
def test_imports_go_down_only(module: str, tree: ast.Module) -> None:
    own_room = module.split(".")[0]
    for line, imported in imports(tree):
        if not imported.startswith("nexus_tray.") or imported == "nexus_tray.__version__":
            continue
        target = imported.removeprefix("nexus_tray.")
        same_room = target.split(".")[0] == own_room
        if own_room == "core":
            assert layer(target) <= 1 or same_room, f"{module}:{line}: core imports {target}"
        if layer(module) == 4 and not same_room:
            assert layer(target) <= 2, (
                f"{module}:{line}: a front end knows Backend only, not {target}"
            )
        assert layer(target) < layer(module) or same_room or layer(target) == layer(module) == 3, (
            f"{module}:{line}: imports {target}, which lies above it"
        )


@pytest.mark.parametrize(("module", "tree"), modules(), ids=[name for name, _ in modules()])
def test_what_only_one_room_may_import(module: str, tree: ast.Module) -> None:
    for line, imported in imports(tree):
        for banned, (rooms, why) in BANS.items():
            if imported == banned or imported.startswith(banned + "."):
                assert within(module, rooms), f"{module}:{line}: imports {banned}; {why}"


@pytest.mark.parametrize(("module", "tree"), modules(), ids=[name for name, _ in modules()])
def test_core_has_no_clock_of_its_own(module: str, tree: ast.Module) -> None:
    if module.split(".")[0] != "core":
        return
    for line, imported in imports(tree):
        assert imported not in ("socket", "subprocess", "asyncio"), f"{module}:{line}: {imported}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called = f"{node.value.id}.{node.attr}"
            assert called not in ("time.time", "time.sleep"), f"{module}: {called}; inject a clock"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_no_module_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
