"""Which reasons a run of the tests really reaches, and in which test.

`pytest -p tests.reason_recorder` reads the model with some lines more, before anybody imports it,
and appends a line to the file that NEXUS_TRAY_REASONS names, for each reason that the product
makes, raises, or reads to tell it, in a test: its code, a space, the test. What a test does with a
reason itself does not count. Only this process is seen, not the programs that tests start.
"""

import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType

MODEL = "nexus_tray.model"
FILE = Path(__file__).parent.parent / "nexus_tray" / "model.py"
TESTS = str(Path(__file__).parent) + os.sep
MADE = """    def __post_init__(self) -> None:
        from tests.reason_recorder import reached
        reached(self.code)

    def __getattribute__(self, name: str) -> object:
        if name == "what":
            from tests.reason_recorder import reached
            reached(object.__getattribute__(self, "code"))
        return object.__getattribute__(self, name)

    def __str__(self) -> str:
        return " ".join("""
RAISED = """super().__init__(str(reason))
        from tests.reason_recorder import reached
        reached(reason.code)
"""
PUT = (
    (f"    def __str__{MADE.rpartition('def __str__')[2]}", MADE),
    (RAISED.partition("\n")[0], RAISED),
)

_seen: set[tuple[str, str]] = set()


def reached(code: str) -> None:
    """A reason of this code was made, raised or told just now."""
    frame: FrameType | None = sys._getframe(2)
    if frame is None or frame.f_code.co_filename.startswith(TESTS):
        return  # a double of a test's own
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0].partition("[")[0]
    target = os.environ.get("NEXUS_TRAY_REASONS")
    if target and test and (code, test) not in _seen:
        _seen.add((code, test))
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(f"{code} {test}\n")


class _Loader(SourceFileLoader):
    """The model's own source, with these lines put in place of others."""

    def get_code(self, fullname: str) -> CodeType:
        text = FILE.read_text(encoding="utf-8")
        for old, new in PUT:
            assert text.count(old) == 1, f"the model has another form now: {old}"
            text = text.replace(old, new)
        return compile(text, str(FILE), "exec")


class _Finder:
    """Finds the model, and nothing else."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != MODEL:
            return None
        return spec_from_file_location(name, FILE, loader=_Loader(name, str(FILE)))


assert MODEL not in sys.modules, "named too late: give it with -p"
sys.meta_path.insert(0, _Finder())
