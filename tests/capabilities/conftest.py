"""A provider on loopback, and settings that point at it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.capabilities.conf import llm_settings
from apps.capabilities.llm import service
from tests.capabilities.fake_provider import FakeProvider, fake_provider


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


@pytest.fixture
def connect(provider: FakeProvider, settings: Any) -> Iterator[Callable[..., None]]:
    """`connect("ok", LLM_TIMEOUT_S=1.0)`: the model x-ok of the provider is the connected one."""

    def to(behaviour: str, **options: Any) -> None:
        values = {"LLM_MODEL": f"openai/x-{behaviour}", "LLM_API_BASE": provider.base_url, "LLM_API_KEY": ""} | options
        for name, value in values.items():
            setattr(settings, name, value)
        llm_settings.cache_clear()

    yield to
    llm_settings.cache_clear()
    service.disconnect()
