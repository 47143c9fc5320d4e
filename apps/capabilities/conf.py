"""Typed options of capabilities."""

from dataclasses import dataclass, field
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class LlmSettings:
    """How a language model is reached. `model` empty = none is connected and every feature says so.

    `timeout_s` bounds each silence of the provider (before the first token and between tokens: a local model may take
    most of a minute to load), `deadline_s` the whole answer, so that neither a dead nor a dripping provider holds on.
    """

    model: str
    api_base: str
    api_key: str = field(repr=False)
    timeout_s: float
    deadline_s: float
    max_output_tokens: int
    cache_ttl_s: int
    embedding_max_tokens: int
    fingerprint_secret: str = field(repr=False)


@cache
def llm_settings() -> LlmSettings:
    """Read once from Django's settings; `llm_settings.cache_clear()` reads them anew."""
    return LlmSettings(
        model=getattr(settings, "LLM_MODEL", ""),
        api_base=getattr(settings, "LLM_API_BASE", ""),
        api_key=getattr(settings, "LLM_API_KEY", ""),
        timeout_s=getattr(settings, "LLM_TIMEOUT_S", 60.0),
        deadline_s=getattr(settings, "LLM_DEADLINE_S", 300.0),
        max_output_tokens=getattr(settings, "LLM_MAX_OUTPUT_TOKENS", 800),
        cache_ttl_s=getattr(settings, "LLM_CACHE_TTL_S", 3600),
        embedding_max_tokens=getattr(settings, "EMBEDDING_MAX_TOKENS", 512),
        fingerprint_secret=settings.SECRET_KEY,
    )
