"""A provider on loopback, and settings that point at it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.capabilities.fake_provider import Connect, FakeProvider, connecting, fake_provider


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


@pytest.fixture
def connect(provider: FakeProvider, settings: Any) -> Iterator[Connect]:
    """`connect("ok", LLM_TIMEOUT_S=1.0)`: the model x-ok of the provider is the connected one."""
    with connecting(provider, settings) as to:
        yield to
