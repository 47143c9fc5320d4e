"""Language models: configured(), complete(), stream(), warm_up(). LiteLLM itself is imported by `door` alone, late."""

from apps.capabilities.llm.service import complete, configured, model_name, stream, warm_up
from apps.capabilities.llm.types import Completion, Message

__all__ = ["Completion", "Message", "complete", "configured", "model_name", "stream", "warm_up"]
