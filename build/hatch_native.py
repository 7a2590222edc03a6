"""Puts the compiled gateway into a wheel: NEXUS_TRAY_NATIVE=1 uv build --wheel

Without it the wheel is pure Python, for every machine. A hook of hatchling's, which loads it by its
path (pyproject.toml).
"""

import os
import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeHook(BuildHookInterface[Any]):
    """Compiles before the wheel is put together, and takes it away after."""

    @property
    def _wanted(self) -> bool:
        return os.environ.get("NEXUS_TRAY_NATIVE") == "1" and self.target_name == "wheel"

    def dependencies(self) -> list[str]:
        """What compiling needs, besides a C compiler."""
        return ["mypy[mypyc]>=1.18", *self.metadata.core.dependencies] if self._wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have it put in."""
        if not self._wanted or version == "editable":
            return
        root = Path(self.root)
        made = self._native["build"](root)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(path): str(path.relative_to(root)) for path in made}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave the sources as they were."""
        del build_data, artifact_path
        if self._wanted and version != "editable":
            self._native["clean"](Path(self.root))

    @property
    def _native(self) -> dict[str, Any]:
        return runpy.run_path(str(Path(self.root) / "build" / "native.py"))
