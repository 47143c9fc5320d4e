"""A thin CDN for answers: fingerprint, cache, and one upstream call for equal requests that are in flight.

Everything here runs on the llm loop, so the table of flights needs no lock. Only whole answers that the provider ended
itself ("stop") are kept; errors, refusals and broken or cut streams never are. Keys are keyed hashes over the tenant
and every parameter: no client can name an entry, and no tenant can reach another's.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Protocol
from uuid import UUID

import msgspec
from blake3 import blake3
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.capabilities.errors import LlmUnavailable
from apps.capabilities.llm.types import Finish, LlmRequest

log = logging.getLogger(__name__)

MAX_CACHED_BYTES = 256 * 1024
_canonical = msgspec.json.Encoder(order="deterministic")

Upstream = Callable[[LlmRequest], AsyncGenerator[str | Finish, None]]


class CachedAnswer(msgspec.Struct, frozen=True):
    """What the cache holds: the normalised whole answer, replayed to streaming and waiting callers alike."""

    text: str
    model: str


class AnswerCache(Protocol):
    """Where whole answers are kept. Losing it costs one upstream call per answer and nothing else."""

    async def get(self, key: str) -> CachedAnswer | None: ...

    async def put(self, key: str, answer: CachedAnswer) -> None: ...

    async def aclose(self) -> None: ...


def fingerprint_key(secret: str) -> bytes:
    """The key of the fingerprint hash, derived from the deployment's secret (BLAKE3 key derivation)."""
    return blake3(secret.encode(), derive_key_context="cybernetic 2026 llm-cdn fingerprint v1").digest()


def fingerprint(key: bytes, tenant_id: UUID, request: LlmRequest) -> str:
    """The cache key: the tenant in clear, so that one tenant's entries can be listed and dropped, then a keyed hash."""
    body = _canonical.encode({"tenant": tenant_id.hex, "request": asdict(request)})
    return f"llm:{tenant_id.hex}:{blake3(body, key=key).hexdigest()}"


class ValkeyAnswers:
    """Answers in Valkey with a time to live. A server that is down or slow is a miss, within a quarter of a second."""

    def __init__(self, url: str, *, ttl_s: int) -> None:
        self._client: Redis = Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
        self._ttl_s = ttl_s

    async def get(self, key: str) -> CachedAnswer | None:
        try:
            raw = await self._client.get(key)
        except (RedisError, OSError) as error:
            log.warning("answer cache not read: %s", type(error).__name__)
            return None
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw, type=CachedAnswer)
        except msgspec.DecodeError:
            return None

    async def put(self, key: str, answer: CachedAnswer) -> None:
        raw = msgspec.json.encode(answer)
        if self._ttl_s <= 0 or len(raw) > MAX_CACHED_BYTES:
            return
        try:
            await self._client.set(key, raw, ex=self._ttl_s)
        except (RedisError, OSError) as error:
            log.warning("answer cache not written: %s", type(error).__name__)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


@dataclass(eq=False)
class _Flight:
    """One upstream call and everyone who waits for it. Late listeners first get what was said so far."""

    pieces: list[str | Finish] = field(default_factory=list)
    listeners: list["asyncio.Queue[str | Finish | None]"] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None

    def say(self, piece: str | Finish) -> None:
        self.pieces.append(piece)
        for queue in self.listeners:
            queue.put_nowait(piece)

    def land(self, _task: "asyncio.Task[None]") -> None:
        for queue in self.listeners:
            queue.put_nowait(None)


@dataclass(frozen=True, slots=True)
class Replayed:
    """First item of a stream that came from the cache."""


class Cdn:
    """Use from one event loop only."""

    def __init__(self, *, upstream: Upstream, cache: AnswerCache, key: bytes) -> None:
        self._upstream = upstream
        self._cache = cache
        self._key = key
        self._flights: dict[str, _Flight] = {}

    async def stream(self, tenant_id: UUID, request: LlmRequest) -> AsyncGenerator[str | Finish | Replayed, None]:
        """The answer's pieces and its Finish. Raises LlmUnavailable. The upstream call ends with its last listener."""
        key = fingerprint(self._key, tenant_id, request)
        if key not in self._flights:
            answer = await self._cache.get(key)
            if answer is not None:
                yield Replayed()
                yield answer.text
                yield Finish(reason="stop", model=answer.model)
                return
        flight = self._flights.get(key) or self._depart(key, request)
        async with aclosing(self._listen(key, flight)) as pieces:
            async for piece in pieces:
                yield piece

    async def aclose(self) -> None:
        """Close the cache's connections. Flights end with their listeners."""
        await self._cache.aclose()

    def _depart(self, key: str, request: LlmRequest) -> _Flight:
        flight = self._flights[key] = _Flight()
        flight.task = asyncio.create_task(self._fly(key, flight, request))
        flight.task.add_done_callback(flight.land)
        return flight

    async def _fly(self, key: str, flight: _Flight, request: LlmRequest) -> None:
        said: list[str] = []
        finish: Finish | None = None
        try:
            async with aclosing(self._upstream(request)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        said.append(piece)
                    else:
                        finish = piece
                    flight.say(piece)
            if finish is None or not finish.reason:
                raise LlmUnavailable("The model provider broke off in the middle of its answer.")
            if finish.reason == "stop" and said:
                await self._cache.put(key, CachedAnswer(text="".join(said), model=finish.model))
        finally:
            self._forget(key, flight)

    def _forget(self, key: str, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def _listen(self, key: str, flight: _Flight) -> AsyncGenerator[str | Finish, None]:
        queue: asyncio.Queue[str | Finish | None] = asyncio.Queue()  # bounded by the answer's own token limit
        for piece in flight.pieces:
            queue.put_nowait(piece)
        flight.listeners.append(queue)
        task = flight.task
        assert task is not None  # noqa: S101  # set by _depart before anyone listens
        try:
            while (heard := await queue.get()) is not None:
                yield heard
            if task.cancelled():
                raise LlmUnavailable("The call to the model provider was stopped.")
            task.result()
        finally:
            flight.listeners.remove(queue)
            if not flight.listeners and not task.done():
                self._forget(key, flight)
                task.cancel()
