"""What a test needs of the machine, and that its lack is seen.

A test that cannot run here is skipped with the reason; where `NEXUS_TRAY_TESTS=whole` is set, as
continuous integration does where it has everything, it fails instead, so that a gap is no silence.
"""

import os

import pytest

WHOLE = "NEXUS_TRAY_TESTS"


def needs(missing: str, what: str) -> pytest.MarkDecorator:
    """`missing`: what the machine lacks; empty: nothing."""
    if missing and os.environ.get(WHOLE) == "whole":
        raise RuntimeError(f"{WHOLE}=whole, but {what} cannot be had: {missing}")
    return pytest.mark.skipif(bool(missing), reason=f"not run, for it needs {what}: {missing}")
