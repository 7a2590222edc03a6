"""Which cloudflared is fetched where none is found, and the SHA-256 it must have.

Owns the pins. Data only; imports nothing of ours. The digests are those of the official
release notes (github.com/cloudflare/cloudflared/releases/tag/2026.8.2, which for macOS give
that of the extracted file), and those that several independent projects measured on the
official files and agree on: winget's manifest for Windows, ten repositories for linux-arm64
and the macOS archives. A platform without such a pin is not served.
"""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

VERSION = "2026.8.2"
MOST_BYTES = 128 * 1024 * 1024
"""No file of a release comes near this; a server that sends more is not believed."""

_BASE = f"https://github.com/cloudflare/cloudflared/releases/download/{VERSION}/"


@dataclass(frozen=True)
class Pin:
    """One official file. `sha256` is the download's; for an archive, `program_sha256` is that
    of the one file wanted from it."""

    file: str
    sha256: str
    program_sha256: str | None = None

    @property
    def url(self) -> str:
        """Where Cloudflare publishes it."""
        return _BASE + self.file


PINS: Mapping[tuple[str, str], Pin] = {
    ("linux", "x64"): Pin(
        "cloudflared-linux-amd64",
        "fcfb02b575a52ca1af2e3267af4e1517bcdeb30ac48c834c69abaed3c0576ad2",
    ),
    ("linux", "arm64"): Pin(
        "cloudflared-linux-arm64",
        "7747d94570fb390cf47dcb4f9555c193c6355cda9793f0d878d9049e5d6a7790",
    ),
    ("linux", "arm"): Pin(
        "cloudflared-linux-arm",
        "19809425f60a6261241dfa66a42b4115bab07c295396a3c4d5d7c247fc4e1412",
    ),
    ("darwin", "x64"): Pin(
        "cloudflared-darwin-amd64.tgz",
        "f1727723c586500e2092368ae21871b3df7ddfd2cb097f22d81bee4a9c458bb4",
        "b0f770e1e0b281399a57219b840fd8eef1cc25387a404124248157ea2073727a",
    ),
    ("darwin", "arm64"): Pin(
        "cloudflared-darwin-arm64.tgz",
        "9042c2c5d8b2de78e60f313d5fb31b6c5c1cebde787a3caf1f2c9588084ac442",
        "b61054d3d6326ea558cb49826eebf5676e0d0a36d51b546975096ca3e0e3c89d",
    ),
    ("win32", "x64"): Pin(
        "cloudflared-windows-amd64.exe",
        "c29eee2b121f5436a642eed69fd9767da7e7b8c510fa50aaa130337f931357b5",
    ),
}

_PROCESSORS = {
    "x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64",
    "armv7l": "arm", "armv6l": "arm",
}  # fmt: skip


def pin_for(system: str = sys.platform, machine: str | None = None) -> Pin | None:
    """The file for this machine; None where no digest is known. (Windows on ARM runs x64.)"""
    processor = _PROCESSORS.get((machine or platform.machine()).lower(), "")
    if system == "win32" and processor == "arm64":
        processor = "x64"
    return PINS.get((system, processor))
