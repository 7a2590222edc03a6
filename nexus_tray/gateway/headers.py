"""Header fields as values, and the memory of what follows from them.

Pure; imports the standard library. `Fields` is apart from `gateway.http` because a subclass of
`tuple` cannot be compiled (build/native). Runs on the gateway's event loop.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")

Headers = tuple[tuple[bytes, bytes], ...]
"""Field lines in order, names in lower case, values as received."""


class Fields(Headers):
    """Headers that remember what was derived from them. A browser sends the same fields with
    request after request: what follows from them alone is found out once (`once`). `by_name`: the
    values of each name, in order."""

    def __init__(self, lines: Iterable[tuple[bytes, bytes]] = ()) -> None:
        del lines  # they are the tuple
        self._derived: dict[object, Any] = {}
        self.by_name: dict[bytes, tuple[bytes, ...]] = {}
        found = self.by_name
        for name, value in self:
            found[name] = (*found[name], value) if name in found else (value,)

    def once(self, derive: Callable[[Headers], T]) -> T:
        """`derive` of these fields: a pure function, of nothing else."""
        try:
            return cast("T", self._derived[derive])
        except KeyError:
            found = self._derived[derive] = derive(self)
            return found


def once(headers: Headers, derive: Callable[[Headers], T]) -> T:
    """`derive(headers)`, a pure function, from memory where the fields have one."""
    return headers.once(derive) if isinstance(headers, Fields) else derive(headers)
