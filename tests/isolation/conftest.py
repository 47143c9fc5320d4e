"""The live server of the gateway's tests."""

from tests.gateway.conftest import make_key, server

__all__ = ["make_key", "server"]
