"""The provider on loopback that the capabilities' own tests use, and a folder that WhiteNoise expects."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.capabilities.conftest import connect, provider

__all__ = ["connect", "provider"]


@pytest.fixture(scope="session", autouse=True)
def _static_root() -> None:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
