"""What a test needs of the machine, and that its lack is seen.

A test that cannot run here is skipped, and pytest says why at the end (`-ra` in pyproject.toml);
where `NEXUS_TRAY_TESTS=whole` is set, for a machine that has everything, it fails instead.
"""

import os

import pytest

WHOLE = "NEXUS_TRAY_TESTS"
LACK = "not run, for want of"


def needs(missing: str, what: str) -> pytest.MarkDecorator:
    """`missing`: what the machine lacks; empty: nothing."""
    if missing and os.environ.get(WHOLE) == "whole":
        raise RuntimeError(f"{WHOLE}=whole, but {what} cannot be had: {missing}")
    return pytest.mark.skipif(bool(missing), reason=f"{LACK} {what}: {missing}")
