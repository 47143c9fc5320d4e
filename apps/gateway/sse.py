"""Server-sent events on the wire: frames, ids, and a response that notices its client leaving."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from apps.core.events import StoredEvent
from apps.gateway.asgi.types import ClientGone, Message, Receive, Send

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
HEARTBEAT = b": heartbeat\n"
_ID = re.compile(r"([0-9A-Za-z]{1,16})-([0-9]{1,19})")


def frame(event: str, data: Mapping[str, Any], *, event_id: str | None = None) -> bytes:
    """One event. The JSON is a single line, so one `data:` field holds it."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {event}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"


def event_frame(epoch: str, event: StoredEvent) -> bytes:
    """An event of the log: its payload's own fields, plus when, which, and by what cause."""
    data = event.payload | {
        "timestamp": event.occurred_at,
        "event_id": event.id,
        "correlation_id": event.correlation_id,
    }
    return frame(event.name, data, event_id=f"{epoch}-{event.seq}")


def heartbeat(epoch: str, seq: int) -> bytes:
    """A comment that keeps proxies awake; the bare id moves the client's Last-Event-ID past events it filters out."""
    return HEARTBEAT + f"id: {epoch}-{seq}\n\n".encode("ascii")


def parse_event_id(raw: str) -> tuple[str, int] | None:
    """Epoch and number of a `Last-Event-ID`; None for anything else."""
    match = _ID.fullmatch(raw.strip())
    return (match[1], int(match[2])) if match else None


async def disconnected(receive: Receive) -> None:
    """Return when the client has left. Only a receive() of our own sees that while a stream waits."""
    message: Message = {"type": "http.request"}
    while message["type"] != "http.disconnect":
        message = await receive()


class EventStream:
    """The body of one open response, written by one task."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.sending_since: float | None = None

    async def write(self, data: bytes) -> None:
        """Hand bytes to the server; waits while the client's buffer is full."""
        self.sending_since = asyncio.get_running_loop().time()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self.sending_since = None

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def event_stream(send: Send) -> AsyncIterator[EventStream]:
    """Begin an event stream response; a normal end of the block completes it."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    stream = EventStream(send)
    yield stream
    await stream.finish()


async def until_disconnected(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` to its end. Raises ClientGone when the client leaves first, or when somebody cancels the work."""
    working = asyncio.ensure_future(work())
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done() or working.cancelled():
            raise ClientGone
        working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)
