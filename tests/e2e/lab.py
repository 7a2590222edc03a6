"""The loopback Cloudflare as a child process, with its levers."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

LAB = Path(__file__).parent.parent / "cloudflare_lab"


class Lab:
    """`python -m cloudflare_lab` on free ports; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._errors = (folder / "lab-errors.txt").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cloudflare_lab", "--dir", str(folder), "--ephemeral"],
            cwd=LAB, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (folder / "lab-errors.txt").read_text()
        self.info: dict[str, Any] = json.loads(line)

    @property
    def description(self) -> Path:
        """The file that tells our program where this Cloudflare is."""
        return self.folder / "lab.json"

    @property
    def https_port(self) -> int:
        """Where the public front answers TLS, for any host name."""
        return int(self.info["front_tls"].rpartition(":")[2])

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the control API."""
        request = urllib.request.Request(
            self.info["control"] + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def fault(self, **levers: Any) -> None:
        """Pull levers; see tests/cloudflare_lab/README.md."""
        self.control("POST", "/faults", levers)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
