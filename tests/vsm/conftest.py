"""The provider on loopback that the capabilities' own tests use."""

from tests.capabilities.conftest import connect, provider

__all__ = ["connect", "provider"]
