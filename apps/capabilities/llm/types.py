"""Values that pass through the door."""

from dataclasses import dataclass
from typing import Any, Literal, TypedDict


class Message(TypedDict):
    """One turn, in the shape every provider understands."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """Everything that decides an answer. All of it goes into the fingerprint, so equal requests are equal answers."""

    model: str
    api_base: str
    messages: tuple[Message, ...]
    max_output_tokens: int
    temperature: float = 0.0
    response_format: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finish:
    """How the provider ended: `reason` is "stop", "length", "content_filter", or "" when the stream just broke off."""

    reason: str
    model: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One whole answer."""

    text: str
    finish: Finish
    cached: bool
