"""Asking a model: the functions other apps call. Everything goes through the CDN, on the llm loop."""

import asyncio
import atexit
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from functools import cache
from typing import Any

from apps.capabilities.conf import llm_settings
from apps.capabilities.errors import LlmNotConfigured, LlmUnavailable
from apps.capabilities.llm import door
from apps.capabilities.llm.cdn import Cdn, Replayed, ValkeyAnswers, fingerprint_key
from apps.capabilities.llm.runtime import llm_loop
from apps.capabilities.llm.types import Completion, Finish, LlmRequest, Message
from apps.core.conf import core_settings
from apps.core.tenancy import TenantRef, current_tenant


def configured() -> bool:
    """Whether a model is connected. Says nothing about whether it answers."""
    return bool(llm_settings().model)


def model_name() -> str:
    """The connected model, or "" without one."""
    return llm_settings().model


def warm_up() -> None:
    """Start loading LiteLLM in the background, so that the first question does not wait for it."""
    if configured():
        llm_loop.submit(asyncio.to_thread(door.load))


def complete(
    messages: Sequence[Message],
    *,
    tenant: TenantRef | None = None,
    max_output_tokens: int | None = None,
    temperature: float = 0.0,
    response_format: dict[str, Any] | None = None,
) -> Completion:
    """The whole answer. Blocks, for jobs and commands; `tenant` defaults to the one in force.

    Raises LlmNotConfigured, LlmUnavailable.
    """
    ref = tenant or current_tenant()
    request = _request(messages, max_output_tokens, temperature, response_format)
    options = llm_settings()
    future = llm_loop.submit(_collect(ref, request))
    try:
        return future.result(timeout=options.deadline_s + options.timeout_s)
    except TimeoutError:
        future.cancel()
        raise LlmUnavailable("The model provider did not answer in time.") from None


async def stream(
    messages: Sequence[Message],
    *,
    tenant: TenantRef,
    max_output_tokens: int | None = None,
    temperature: float = 0.0,
) -> AsyncGenerator[str, None]:
    """Pieces of the answer, from any event loop. Close the iterator and the provider is hung up on.

    `tenant` is given, not looked up: async code has no tenant in force. Raises LlmNotConfigured, LlmUnavailable.
    """
    request = _request(messages, max_output_tokens, temperature, None)
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()  # bounded by the answer's own token limit

    async def pump() -> None:
        async with aclosing(_cdn().stream(tenant.id, request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    loop.call_soon_threadsafe(queue.put_nowait, piece)

    def end(_future: "Future[None]") -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, None)

    future = llm_loop.submit(pump())
    future.add_done_callback(end)
    try:
        while (piece := await queue.get()) is not None:
            yield piece
        try:
            future.result()
        except CancelledError:
            raise LlmUnavailable("The call to the model provider was stopped.") from None
    finally:
        future.cancel()


def disconnect() -> None:
    """Close the connections to the cache and to providers; the next question opens new ones."""
    if llm_loop.started():
        llm_loop.submit(_disconnect()).result(timeout=5)


async def _disconnect() -> None:
    if _cdn.cache_info().currsize:
        await _cdn().aclose()
        _cdn.cache_clear()
    await door.close()


async def _collect(tenant: TenantRef, request: LlmRequest) -> Completion:
    text: list[str] = []
    finish = Finish(reason="", model=request.model)
    cached = False
    async with aclosing(_cdn().stream(tenant.id, request)) as pieces:
        async for piece in pieces:
            match piece:
                case str():
                    text.append(piece)
                case Finish():
                    finish = piece
                case Replayed():
                    cached = True
    return Completion(text="".join(text), finish=finish, cached=cached)


def _request(
    messages: Sequence[Message],
    max_output_tokens: int | None,
    temperature: float,
    response_format: dict[str, Any] | None,
) -> LlmRequest:
    options = llm_settings()
    if not options.model:
        raise LlmNotConfigured("No language model is connected. Set LLM_MODEL, for example to ollama/llama3.2.")
    return LlmRequest(
        model=options.model,
        api_base=options.api_base,
        messages=tuple(messages),
        max_output_tokens=max_output_tokens or options.max_output_tokens,
        temperature=temperature,
        response_format=response_format,
    )


atexit.register(disconnect)  # before the loop is stopped, which registered first


@cache
def _cdn() -> Cdn:
    """Built on the llm loop on first use, so that its Valkey client belongs to that loop."""
    return Cdn(
        upstream=door.answer,
        cache=ValkeyAnswers(core_settings().redis_url, ttl_s=llm_settings().cache_ttl_s),
        key=fingerprint_key(llm_settings().fingerprint_secret),
    )
