"""GET /v1/events: the tenant's events, live, from any point that the log still holds."""

import asyncio
import secrets

from apps.core.events import parse_topics
from apps.core.events.log import LogPosition, events_after, log_position
from apps.core.tenancy import run_in_tenant
from apps.gateway.asgi.native import authorise, native_request, require_method
from apps.gateway.asgi.types import Receive, Scope, Send, header
from apps.gateway.hub import Hub, Lagged, Stream
from apps.gateway.sse import (
    EventStream,
    event_frame,
    event_stream,
    frame,
    heartbeat,
    parse_event_id,
    until_disconnected,
)

REPLAY_PAGE = 500


class EventsRoute:
    """The route, with the hub that all its streams share."""

    def __init__(self, hub: Hub, *, retry_ms: int) -> None:
        self._hub = hub
        self._retry_ms = retry_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_method(scope, "GET")
        principal = await authorise(scope, role="viewer")
        query = native_request(scope).GET
        topics = parse_topics(",".join(query.getlist("topics")) if "topics" in query else "*")
        stream = await self._hub.join(principal, topics, lambda: native_request(scope))
        try:
            last_id = header(scope, b"last-event-id") or query.get("last_event_id") or ""
            resume = await _resume_point(stream, last_id)
            async with event_stream(send) as out:
                stream.stalled_since = lambda: out.sending_since

                async def work() -> None:
                    task = asyncio.current_task()
                    if task is not None:
                        stream.abort = task.cancel
                    await self._serve(stream, out, resume)

                await until_disconnected(receive, work)
        finally:
            self._hub.leave(stream)

    async def _serve(self, stream: Stream, out: EventStream, resume: "int | str | None") -> None:
        feed = stream.feed
        retry_ms = self._retry_ms + secrets.randbelow(self._retry_ms)
        hello = {"topics": stream.topics, "epoch": feed.epoch, "seq": stream.position}
        await out.write(
            f"retry: {retry_ms}\n".encode("ascii")
            + frame("connected", hello, event_id=None if isinstance(resume, int) else f"{feed.epoch}-{stream.position}")
        )
        if isinstance(resume, str):
            await out.write(frame("reset", {"reason": resume, "epoch": feed.epoch, "seq": stream.position}))
        elif resume is not None:
            stream.position = resume
            await _replay(stream, out)
        await follow(stream, out)


async def _resume_point(stream: Stream, last_id: str) -> int | str | None:
    """The number to go on from, the reason why that is impossible, or None to start at the head."""
    if not last_id:
        return None
    parsed = parse_event_id(last_id)
    if parsed is None:
        return "malformed"
    epoch, seq = parsed
    position: LogPosition = await run_in_tenant(stream.feed.ref, log_position)
    if epoch != position.epoch:
        return "epoch_changed"
    if seq > position.last_seq:
        return "future"
    if seq < position.oldest_seq - 1:
        return "pruned"
    return seq


async def _replay(stream: Stream, out: EventStream) -> None:
    """Send the log in pages until the ring holds what comes next."""
    feed = stream.feed
    while stream.position < feed.floor and stream.closing is None:
        page = await run_in_tenant(feed.ref, events_after, stream.position, limit=REPLAY_PAGE)
        wanted = [event_frame(feed.epoch, event) for event in page if stream.wants(event.name)]
        if wanted:
            await out.write(b"".join(wanted))
        stream.position = page[-1].seq if page else feed.floor


async def follow(stream: Stream, out: EventStream) -> None:
    """Send what the ring holds after the stream's position, then wait for more; ends when asked to, or when behind."""
    feed = stream.feed
    while True:
        try:
            frames = feed.after(stream.position)
        except Lagged:
            last_id = f"{feed.epoch}-{stream.position}"
            await out.write(frame("lagged", {"last_id": last_id, "behind": feed.head - stream.position}))
            return
        data = b"".join(item.wire for item in frames if stream.wants(item.name))
        if frames:
            stream.position = frames[-1].seq
        if stream.heartbeat_due:
            stream.heartbeat_due = False
            data += heartbeat(feed.epoch, stream.position)
        if stream.closing is not None:
            data += frame("closed", {"reason": stream.closing})
        if data:
            await out.write(data)
        if stream.closing is not None:
            return
        if stream.position >= feed.head:
            await stream.woken()
