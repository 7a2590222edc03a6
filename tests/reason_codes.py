"""Which reasons the product can give, read from its syntax trees; tests/test_reasons.py uses it.

A reason is made by `Reason(code=…)`, mostly in a function that is given the code or a part of it.
So calls are followed backwards, from `Reason` to whoever gives a constant, and each code is found
with the place that gives it. What cannot be followed is answered too, for the test to refuse.
"""

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Names = Mapping[str, frozenset[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Unknown(Exception):
    """An expression whose strings cannot be told from the source."""


class Given(Exception):
    """It depends on a parameter of the function that it stands in."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Maker:
    """A function that makes a reason of the code in this parameter, by this expression."""

    module: "Module"
    function: Function
    parameter: str
    code: ast.expr


@dataclass
class Module:
    """One module: its constants, functions, and what it has from which other."""

    name: str
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nexus_tray"):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = (node.module or "", alias.name)
        for statement in self.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                self.constants[statement.targets[0].id] = statement.value

    def function_of(self, node: ast.AST) -> Function | None:
        """The function that a node stands in."""
        while (above := self.parents.get(node)) is not None:
            if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
                return above
            node = above
        return None

    def calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))


@dataclass(frozen=True)
class Place:
    """Where a code is given."""

    module: str
    line: int

    def __str__(self) -> str:
        return f"{self.module.replace('.', '/')}.py:{self.line}"


class Codes:
    """All codes with the places that give them, and the places that cannot be followed."""

    def __init__(self, package: Path) -> None:
        self.found: dict[str, list[Place]] = {}
        self.unknown: list[Place] = []
        self._modules = {
            name: Module(name, ast.parse(path.read_text(encoding="utf-8")))
            for path in sorted(package.rglob("*.py"))
            if (name := ".".join(path.relative_to(package.parent).with_suffix("").parts))
        }
        self._calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self._modules.values():
            for call in module.calls():
                self._calls.setdefault(_called(call), []).append((module, call))
        makers: list[Maker] = []
        for module, call in self._calls.get("Reason", ()):
            if (code := _keyword(call, "code")) is not None:
                self._take(module, call, code, {}, makers)
        for maker in makers:  # it grows: a maker's caller may be one itself
            for module, call in self._callers(maker):
                argument = self._argument(module, call, maker)
                if argument is not None:
                    self._take_call(module, call, argument, maker, makers)

    def _take_call(
        self, module: Module, call: ast.Call, argument: ast.expr, maker: Maker, makers: list[Maker]
    ) -> None:
        try:
            given = self._strings(module, argument, {})
        except Given as needs:
            self._add(makers, module, call, needs.name, _within(maker, argument))
        except Unknown:
            self.unknown.append(Place(module.name, call.lineno))
        else:
            for code in self._strings(maker.module, maker.code, {maker.parameter: given}):
                self._note(code, Place(module.name, call.lineno))

    def _take(
        self, module: Module, call: ast.Call, code: ast.expr, names: Names, makers: list[Maker]
    ) -> None:
        try:
            for found in self._strings(module, code, names):
                self._note(found, Place(module.name, call.lineno))
        except Given as needs:
            self._add(makers, module, call, needs.name, code)
        except Unknown:
            self.unknown.append(Place(module.name, call.lineno))

    def _add(
        self, makers: list[Maker], module: Module, call: ast.AST, name: str, code: ast.expr
    ) -> None:
        function = module.function_of(call)
        assert function is not None
        maker = Maker(module, function, name, code)
        if maker not in makers:
            makers.append(maker)

    def _note(self, code: str, place: Place) -> None:
        places = self.found.setdefault(code, [])
        if place not in places:
            places.append(place)

    def _callers(self, maker: Maker) -> Iterator[tuple[Module, ast.Call]]:
        for module, call in self._calls.get(maker.function.name, ()):
            if module.function_of(call) is maker.function:
                continue
            own = module is maker.module and not _of_module(call)
            if own or self._leads_to(module, call, maker):
                yield module, call

    def _leads_to(self, module: Module, call: ast.Call, maker: Maker) -> bool:
        """Whether the name that is called came from the maker's module, or is a method there."""
        match call.func:
            case ast.Name(id=name):
                return module.imported.get(name) == (maker.module.name, maker.function.name)
            case ast.Attribute(value=ast.Name(id=name)):
                package, last = module.imported.get(name, ("", ""))
                return f"{package}.{last}" == maker.module.name or _is_method(maker)
        return False

    def _argument(self, module: Module, call: ast.Call, maker: Maker) -> ast.expr | None:
        """What the call gives for the maker's parameter; its default where it gives nothing."""
        named = _keyword(call, maker.parameter)
        if named is not None:
            return named
        arguments = maker.function.args
        names = [argument.arg for argument in arguments.args]
        if names and names[0] == "self":
            names = names[1:]
        if maker.parameter not in names:
            return None
        given = list(itertools.chain(*(self._spread(module, one) for one in call.args)))
        at = names.index(maker.parameter)
        if at < len(given):
            return given[at]
        defaults = dict(zip(reversed(names), reversed(arguments.defaults), strict=False))
        return defaults.get(maker.parameter)

    def _spread(self, module: Module, argument: ast.expr) -> list[ast.expr]:
        if not isinstance(argument, ast.Starred):
            return [argument]
        value = argument.value
        if isinstance(value, ast.Name):
            value = module.constants.get(value.id, value)
        return list(value.elts) if isinstance(value, ast.Tuple) else [argument]

    def _strings(self, module: Module, node: ast.expr, names: Names) -> frozenset[str]:
        """Every string that the expression can be. Raises Given or Unknown."""
        match node:
            case ast.Constant(value=str() as text):
                return frozenset({text})
            case ast.JoinedStr(values=parts):
                each = [self._strings(module, part, names) for part in parts]
                return frozenset("".join(one) for one in itertools.product(*each))
            case ast.FormattedValue(value=value):
                return self._strings(module, value, names)
            case ast.IfExp(body=one, orelse=other):
                return self._strings(module, one, names) | self._strings(module, other, names)
            case ast.Name(id=name):
                return self._named(module, node, name, names)
        raise Unknown

    def _named(self, module: Module, node: ast.AST, name: str, names: Names) -> frozenset[str]:
        if name in names:
            return names[name]
        function = module.function_of(node)
        if function is not None:
            found = [self._strings(module, value, names) for value in _assigned(function, name)]
            if found:
                return frozenset(itertools.chain(*found))
            every = [*function.args.args, *function.args.kwonlyargs]
            if name in [argument.arg for argument in every]:
                raise Given(name)
        if name in module.constants:
            return self._strings(module, module.constants[name], names)
        package, last = module.imported.get(name, ("", ""))
        if package in self._modules:
            return self._named(self._modules[package], ast.Pass(), last, names)
        raise Unknown


def _assigned(function: Function, name: str) -> list[ast.expr]:
    """What a local name is set to, one by one; loops over pairs in the source included."""
    found: list[ast.expr] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    found.append(node.value)
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=False)
                    found += [v for t, v in pairs if isinstance(t, ast.Name) and t.id == name]
    return found


def _within(maker: Maker, argument: ast.expr) -> ast.expr:
    """The maker's code with the caller's expression in its parameter's place."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return argument if node.id == maker.parameter else node

    put: ast.expr = Put().visit(ast.parse(ast.unparse(maker.code), mode="eval").body)
    return put


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _of_module(call: ast.Call) -> bool:
    """Whether it is `other.name(…)`, so not this module's own."""
    return (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id not in ("self", "cls")
    )


def _is_method(maker: Maker) -> bool:
    first = maker.function.args.args[:1]
    return bool(first) and first[0].arg == "self"


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)
