"""Errors of capabilities."""

from apps.core.errors import DomainError


class LlmUnavailable(DomainError):
    """The model provider cannot answer now. The detail never carries the provider's own text: it may quote keys."""

    code = "provider_unavailable"
    status = 503
    title = "The language model is not available"


class LlmNotConfigured(DomainError):
    """A feature that cannot work without a model was asked for while none is connected."""

    code = "llm_not_configured"
    status = 409
    title = "No language model is connected"
