"""The only module that imports LiteLLM, and so the only way out to a model provider.

Importing it takes 5-30 s and ~180 MB and it asks the network for its price map, so it is loaded once, on a thread, with
every such call turned off. Nothing of the provider's own error text leaves this module: it may quote the key.
"""

import asyncio
import logging
import os
import threading
import warnings
from collections.abc import AsyncGenerator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

import httpx

from apps.capabilities.conf import llm_settings
from apps.capabilities.errors import LlmUnavailable
from apps.capabilities.llm.types import Finish, LlmRequest

log = logging.getLogger(__name__)

QUIET_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",  # otherwise it reads a .env file of whatever folder it is started in
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOG": "ERROR",
    "HF_HUB_OFFLINE": "1",  # its token counter otherwise waits ~40 s for a hub that may not be there
}
NO_KEY = "none"
"""A server of one's own needs no key, but LiteLLM's client refuses to start without one."""
_loading = threading.Lock()
_loaded = threading.Event()


@cache
def _load() -> tuple[Any, type[Exception]]:
    """LiteLLM, and the class all of its errors descend from."""
    for name, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Its types make pydantic complain about qualifiers it ignores, once per type, whenever one is first used.
    warnings.filterwarnings("ignore", message=r"Item '.*' on TypedDict class", category=UserWarning)
    import litellm  # noqa: PLC0415  # 5-30 s: only on first use, on a thread
    import openai  # noqa: PLC0415  # LiteLLM has imported it already

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = True  # a provider that lacks a parameter gets the call without it
    litellm.cache = None
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # its error lines quote requests and replies
    _loaded.set()
    return litellm, openai.OpenAIError


def load() -> tuple[Any, type[Exception]]:
    """Import once; a second caller waits for the first."""
    with _loading:
        return _load()


def loaded() -> bool:
    """Whether the import is done: the first call after it does not pay for it."""
    return _loaded.is_set()


async def answer(request: LlmRequest) -> AsyncGenerator[str | Finish, None]:
    """Pieces of text as the provider sends them, then one Finish. Closing the iterator closes the connection.

    Raises LlmUnavailable, before the first piece or between two.
    """
    options = llm_settings()
    litellm, provider_error = await asyncio.to_thread(load)
    deadline = asyncio.get_running_loop().time() + options.deadline_s
    try:
        async with _patience(options.timeout_s, deadline):
            stream = await litellm.acompletion(**_arguments(request))
        try:
            while True:
                async with _patience(options.timeout_s, deadline):
                    chunk = await anext(stream, None)
                if chunk is None:
                    break
                piece = _text_of(chunk)
                if piece:
                    yield piece
        finally:
            await _close(stream)
    except (provider_error, httpx.HTTPError, TimeoutError, OSError) as error:
        raise refusal(error) from None
    reason = stream.received_finish_reason or stream.intermittent_finish_reason or ""
    yield Finish(reason=reason, model=request.model)


async def close() -> None:
    """Close the connections that LiteLLM keeps for the next call."""
    if loaded():
        litellm, _ = load()
        await litellm.close_litellm_async_clients()


def _patience(silence_s: float, deadline: float) -> asyncio.Timeout:
    """One wait: as long as one silence may last, never past the deadline of the whole answer."""
    return asyncio.timeout_at(min(asyncio.get_running_loop().time() + silence_s, deadline))


def _arguments(request: LlmRequest) -> dict[str, Any]:
    options = llm_settings()
    arguments: dict[str, Any] = {
        "model": request.model,
        "messages": list(request.messages),
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "timeout": options.timeout_s + 5,  # the waits above end first and name the cause
        "num_retries": 0,
        "max_retries": 0,
        "stream": True,
    }
    if request.api_base:
        arguments["api_base"] = request.api_base
    if options.api_key:
        arguments["api_key"] = options.api_key
    elif request.api_base:
        arguments["api_key"] = NO_KEY
    if request.response_format is not None:
        arguments["response_format"] = request.response_format
    if request.stop:
        arguments["stop"] = list(request.stop)
    return arguments


def _text_of(chunk: Any) -> str:
    if not chunk.choices:
        return ""
    return chunk.choices[0].delta.content or ""


async def _close(stream: Any) -> None:
    """Hang up on the provider; generation that nobody reads is still billed."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


async def embed(texts: Sequence[str], *, model: str) -> list[list[float]]:
    """One vector per text, in order. Raises LlmUnavailable."""
    options = llm_settings()
    litellm, provider_error = await asyncio.to_thread(load)
    arguments: dict[str, Any] = {"model": model, "input": list(texts), "max_retries": 0}
    if options.api_base:
        arguments["api_base"] = options.api_base
    if options.api_key or options.api_base:
        arguments["api_key"] = options.api_key or NO_KEY
    try:
        async with asyncio.timeout(options.timeout_s):
            response = await litellm.aembedding(**arguments)
    except (provider_error, httpx.HTTPError, TimeoutError, OSError) as error:
        raise refusal(error) from None
    rows = sorted(response.data, key=lambda row: int(row["index"]))
    if len(rows) != len(texts):
        raise LlmUnavailable("The embedding provider returned another number of vectors than it was asked for.")
    return [list(row["embedding"]) for row in rows]


def refusal(error: BaseException) -> LlmUnavailable:
    """What may be said about a provider's failure. The cause goes to the log by class and status only."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    log.warning("model provider failed: %s status=%s", kind, status)
    if isinstance(error, TimeoutError) or status == HTTPStatus.REQUEST_TIMEOUT or "Timeout" in kind:
        return LlmUnavailable("The model provider did not answer in time.")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return LlmUnavailable("The model provider refused the credentials it was given.")
    if status == HTTPStatus.NOT_FOUND:
        return LlmUnavailable("The model provider does not know this model.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return LlmUnavailable("The model provider is over its rate limit or quota.")
    if status in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}:
        return LlmUnavailable("The model provider refused the request.")
    return LlmUnavailable("The model provider answered with an error or could not be reached.")
