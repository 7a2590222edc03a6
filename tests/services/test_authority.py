"""The authority for the local network's door: what it signs, when anew, and judged by OpenSSL."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from nexus_tray.model import Problem
from nexus_tray.services.authority import DAY, Authority, names_of

NOW = 1_795_000_000.0
ADDRESS, NAMES = "192.0.2.7", ("desk.lan",)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "desk")


def door(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "authority" / "door.pem").read_bytes())


def test_what_it_signs_is_for_this_door_alone(authority: Authority, tmp_path: Path) -> None:
    issued = authority.issue(ADDRESS, (*NAMES, "fd00::2"), NOW)
    made = door(tmp_path)
    assert names_of(made) == {ADDRESS, "fd00::2", "desk.lan"}
    lasts = made.not_valid_after_utc - made.not_valid_before_utc
    assert lasts.days <= 397
    find = made.extensions.get_extension_for_class
    assert list(find(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not find(x509.BasicConstraints).value.ca
    above = x509.load_pem_x509_certificate(issued.authority.pem.encode())
    limits = above.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, 0)
    assert (above.not_valid_after_utc - above.not_valid_before_utc).days in (3650, 3651)
    assert "PRIVATE" not in repr(issued)
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "authority").stat().st_mode) == 0o700
        assert stat.S_IMODE(issued.file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("after", "names", "anew"),
    [
        (0.0, NAMES, False),
        (365.5 * DAY, NAMES, False),
        (366.5 * DAY, NAMES, True),
        (-2 * DAY, NAMES, True),  # the clock was ahead when it was made
        (0.0, ("desk.lan", "other.lan"), True),
        (0.0, (), True),
    ],
)
def test_when_it_signs_anew(
    authority: Authority, after: float, names: tuple[str, ...], anew: bool
) -> None:
    first = authority.issue(ADDRESS, NAMES, NOW)
    second = authority.issue(ADDRESS, names, NOW + after)
    assert (second.fingerprint != first.fingerprint) is anew
    assert second.authority == first.authority


def test_the_authoritys_key_and_name_stay_when_its_end_comes_near(
    authority: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "authority" / "authority.pem"
    first = authority.issue(ADDRESS, NAMES, NOW).authority
    key = load_pem_private_key(file.read_bytes(), None)
    later = NOW + 9 * 365 * DAY
    second = authority.issue(ADDRESS, NAMES, later).authority
    assert second.fingerprint != first.fingerprint
    again = load_pem_private_key(file.read_bytes(), None)
    assert again.public_key() == key.public_key()
    old = x509.load_pem_x509_certificate(first.pem.encode())
    door(tmp_path).verify_directly_issued_by(old)  # who trusts the old one trusts this door


@pytest.mark.parametrize("name", ["authority.pem", "door.pem"])
@pytest.mark.parametrize("text", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_file_is_said_and_left(
    authority: Authority, tmp_path: Path, name: str, text: bytes
) -> None:
    authority.issue(ADDRESS, NAMES, NOW)
    file = tmp_path / "authority" / name
    file.write_bytes(text)
    with pytest.raises(Problem) as caught:
        authority.issue(ADDRESS, NAMES, NOW)
    assert caught.value.reason.code == "network-authority-damaged"
    assert str(file) in caught.value.reason.what
    assert file.read_bytes() == text


@pytest.mark.skipif(sys.platform == "win32", reason="there are no modes there")
def test_a_key_that_others_could_read_is_refused(authority: Authority, tmp_path: Path) -> None:
    authority.issue(ADDRESS, NAMES, NOW)
    (tmp_path / "authority" / "authority.pem").chmod(0o644)
    with pytest.raises(Problem):
        authority.issue(ADDRESS, NAMES, NOW)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
@pytest.mark.parametrize(
    ("option", "name"), [("-verify_ip", ADDRESS), ("-verify_hostname", "desk.lan")]
)
def test_openssl_believes_it_to_the_letter(
    authority: Authority, tmp_path: Path, option: str, name: str
) -> None:
    issued = authority.issue(ADDRESS, NAMES, NOW)
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(issued.authority.pem)
    told = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", str(int(NOW)),
         "-CAfile", str(trusted), option, name, str(issued.file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
