"""The whole program and its Cloudflare, as the end-to-end tests have them."""

from tests.e2e.conftest import lab, program

__all__ = ["lab", "program"]
