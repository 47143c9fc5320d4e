"""Live events of this process: read once, encoded once, shared by every open stream of their tenant.

One subscription to the wake-up channel and one poll a second feed a bounded ring per tenant; a stream only holds its
position in it. Streams never touch the ORM while open: 200 that did held 200 PostgreSQL back ends (measured).
"""

import asyncio
import logging
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from django.db.utils import InterfaceError, OperationalError
from django.http import HttpRequest
from redis import asyncio as valkey
from redis.exceptions import RedisError

from apps.core.api.errors import ServiceUnavailable
from apps.core.errors import DomainError
from apps.core.events import StoredEvent, topic_matches
from apps.core.events.log import events_after_for, log_position
from apps.core.tenancy import TenantRef, run_in_system, run_in_tenant
from apps.core.wakeups import CHANNEL_EVENTS
from apps.gateway.conf import GatewaySettings
from apps.gateway.identity import resolve_native
from apps.gateway.sse import event_frame
from apps.tenants.selectors import Principal

log = logging.getLogger(__name__)

READ_BATCH = 1000
HEARTBEAT_SLOTS = 15
RECONNECT_MAX_S = 10.0


class Lagged(Exception):
    """A stream's position has left the ring: events it has not sent are only in the log now."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One event, encoded for every stream."""

    seq: int
    name: str
    wire: bytes


class Feed:
    """The newest events of one tenant: everything after `floor`, up to `head`."""

    def __init__(self, ref: TenantRef, *, epoch: str, head: int, size: int) -> None:
        self.ref = ref
        self.epoch = epoch
        self.head = head
        self.floor = head
        self.streams: set[Stream] = set()
        self._size = size
        self._seqs: list[int] = []
        self._frames: list[Frame] = []

    def append(self, events: list[StoredEvent]) -> None:
        """Add newer events and wake the streams; the oldest fall out in halves, which keeps slicing cheap."""
        fresh = [
            Frame(event.seq, event.name, event_frame(self.epoch, event)) for event in events if event.seq > self.head
        ]
        if not fresh:
            return
        self._frames.extend(fresh)
        self._seqs.extend(item.seq for item in fresh)
        self.head = fresh[-1].seq
        if len(self._frames) > 2 * self._size:
            self.floor = self._seqs[-self._size - 1]
            del self._frames[: -self._size], self._seqs[: -self._size]
        for stream in self.streams:
            stream.wake()

    def after(self, seq: int, *, limit: int = 256) -> list[Frame]:
        """The next events after `seq`. Raises Lagged when some of them have left the ring."""
        if seq < self.floor:
            raise Lagged
        start = bisect_right(self._seqs, seq)
        return self._frames[start : start + limit]


class Stream:
    """One open event stream as the hub sees it: a position, a wake-up, and what the sweeps ask of it."""

    def __init__(
        self, feed: Feed, principal: Principal, topics: tuple[str, ...], request: Callable[[], HttpRequest]
    ) -> None:
        self.feed = feed
        self.principal = principal
        self.topics = topics
        self.request = request
        self.position = feed.head
        self.heartbeat_due = False
        self.closing: str | None = None
        self.stalled_since: Callable[[], float | None] = lambda: None
        self.abort: Callable[[], object] = lambda: None
        self._woken = asyncio.Event()

    def wants(self, name: str) -> bool:
        return any(topic_matches(pattern, name) for pattern in self.topics)

    def wake(self) -> None:
        self._woken.set()

    def close(self, reason: str) -> None:
        """Ask the stream to say `reason` and end."""
        self.closing = reason
        self.wake()

    async def woken(self) -> None:
        """Wait until there is something to look at."""
        await self._woken.wait()
        self._woken.clear()


class Hub:
    """All open event streams of this process."""

    def __init__(self, options: GatewaySettings, *, redis_url: str) -> None:
        self._options = options
        self._redis_url = redis_url
        self._feeds: dict[UUID, Feed] = {}
        self._slots: list[set[Stream]] = [set() for _ in range(HEARTBEAT_SLOTS)]
        self._joining = asyncio.Lock()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = 0
        self._draining = False

    @property
    def stream_count(self) -> int:
        return sum(len(slot) for slot in self._slots)

    async def join(self, principal: Principal, topics: tuple[str, ...], request: Callable[[], HttpRequest]) -> Stream:
        """Open a stream at the head of its tenant's log. Raises ServiceUnavailable when the process is full."""
        if self._draining or self.stream_count >= self._options.max_streams:
            raise ServiceUnavailable("This server has no room for another stream.", retry_after_s=5)
        async with self._joining:
            feed = self._feeds.get(principal.tenant.id)
            if feed is None:
                position = await run_in_tenant(principal.tenant, log_position)
                feed = Feed(
                    principal.tenant, epoch=position.epoch, head=position.last_seq, size=self._options.stream_ring
                )
                self._feeds[principal.tenant.id] = feed
            stream = Stream(feed, principal, topics, request)
            feed.streams.add(stream)
        self._slots[self._opened % HEARTBEAT_SLOTS].add(stream)
        self._opened += 1
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._forever(step), name=f"hub-{step.__name__}")
                for step in (self._listen, self._poll, self._sweep, self._recheck)
            ]
        return stream

    def leave(self, stream: Stream) -> None:
        """Forget a stream; a tenant without streams is no longer read."""
        for slot in self._slots:
            slot.discard(stream)
        stream.feed.streams.discard(stream)
        if not stream.feed.streams and self._feeds.get(stream.feed.ref.id) is stream.feed:
            del self._feeds[stream.feed.ref.id]

    def drain(self) -> None:
        """End every stream, politely: the process is about to stop. Clients come back to another one."""
        self._draining = True
        for stream in self._streams():
            stream.close("shutdown")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _streams(self) -> list[Stream]:
        return [stream for slot in self._slots for stream in slot]

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except (OperationalError, InterfaceError, RedisError, OSError) as error:
                log.warning("%s waits: %s", step.__name__, type(error).__name__)
                await asyncio.sleep(self._options.stream_poll_s)
            except Exception:  # boundary: a stream must not fall silent because one round failed
                log.exception("%s failed", step.__name__)
                await asyncio.sleep(self._options.stream_poll_s)

    async def _listen(self) -> None:
        """Wake-ups from Valkey. While it is away the poll alone carries the events."""
        pause_s = self._options.stream_poll_s
        while True:
            try:
                async with (
                    valkey.Redis.from_url(self._redis_url, socket_connect_timeout=1) as client,
                    client.pubsub(ignore_subscribe_messages=True) as pubsub,
                ):
                    await pubsub.subscribe(CHANNEL_EVENTS)
                    pause_s = self._options.stream_poll_s
                    async for _ in pubsub.listen():
                        self._wake.set()
            except (RedisError, OSError) as error:
                log.warning("no wake-ups (%s): polling", type(error).__name__)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_MAX_S)

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(self._options.stream_poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()
        while self._feeds:
            positions = [(ref_id, feed.head) for ref_id, feed in self._feeds.items()]
            rows = await run_in_system("stream hub", events_after_for, positions, limit=READ_BATCH)
            by_tenant: dict[UUID, list[StoredEvent]] = defaultdict(list)
            for tenant_id, event in rows:
                by_tenant[tenant_id].append(event)
            for tenant_id, events in by_tenant.items():
                if tenant_id in self._feeds:
                    self._feeds[tenant_id].append(events)
            if len(rows) < READ_BATCH:
                return

    async def _sweep(self) -> None:
        """Heartbeats for everyone, a slice at a time, and an end for streams whose client no longer reads."""
        for slot in self._slots:
            await asyncio.sleep(self._options.stream_heartbeat_s / HEARTBEAT_SLOTS)
            now = asyncio.get_running_loop().time()
            for stream in list(slot):
                since = stream.stalled_since()
                if since is not None and now - since > self._options.stream_stall_s:
                    stream.abort()
                else:
                    stream.heartbeat_due = True
                    stream.wake()

    async def _recheck(self) -> None:
        """Whether each caller may still listen, once per caller; and whether each log is still the same log."""
        await asyncio.sleep(self._options.stream_recheck_s)
        by_caller: dict[tuple[str, UUID, UUID], list[Stream]] = defaultdict(list)
        for stream in self._streams():
            principal = stream.principal
            by_caller[principal.kind, principal.id, principal.tenant.id].append(stream)
        for streams in by_caller.values():
            try:
                await run_in_system("stream re-check", resolve_native, streams[0].request(), role="viewer")
            except DomainError:
                for stream in streams:
                    stream.close("unauthorized")
        for feed in list(self._feeds.values()):
            position = await run_in_tenant(feed.ref, log_position)
            if position.epoch != feed.epoch or position.last_seq < feed.head:
                self._feeds.pop(feed.ref.id, None)
                for stream in list(feed.streams):
                    stream.close("log_changed")
