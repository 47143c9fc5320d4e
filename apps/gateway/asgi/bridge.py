"""The bridge to Django: one thread per request in work, none for clients that read slowly."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from a2wsgi import WSGIMiddleware

from apps.gateway.asgi.types import Message, Receive, Scope, Send


@dataclass
class _Budget:
    """Bytes that all replies together hold for clients that have not read them yet."""

    limit_bytes: int
    held_bytes: int = 0


class Bridge:
    """Django's WSGI handler as an ASGI application.

    A reply of many pieces, such as a file, is buffered up to `buffer_bytes`, so that its thread is free when the view
    is done and not when the client has read the last byte. Beyond that, or when all replies together hold
    `buffer_total_bytes`, the view waits for its client.
    """

    def __init__(self, wsgi: Callable[..., Any], *, threads: int, buffer_bytes: int, buffer_total_bytes: int) -> None:
        self._inner = WSGIMiddleware(wsgi, workers=threads)
        self._buffer_bytes = buffer_bytes
        self._budget = _Budget(buffer_total_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outbox = _Outbox(send, limit_bytes=self._buffer_bytes, budget=self._budget)
        sending = asyncio.create_task(outbox.send_all())
        try:
            await self._inner(scope, receive, outbox.put)  # type: ignore[arg-type]  # its message types are TypedDicts
            outbox.close()
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            outbox.release()


class _Outbox:
    """Messages on their way to one client."""

    def __init__(self, send: Send, *, limit_bytes: int, budget: _Budget) -> None:
        self._send = send
        self._limit = limit_bytes
        self._budget = budget
        self._messages: deque[Message] = deque()
        self._held = 0
        self._closed = False
        self._broken = False
        self._changed = asyncio.Condition()
        self._news = asyncio.Event()

    def _has_room(self) -> bool:
        within = self._held < self._limit and self._budget.held_bytes < self._budget.limit_bytes
        return within or self._held == 0 or self._broken

    async def put(self, message: Message) -> None:
        """Take a message; waits while this client has too much unread."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
        self._messages.append(message)
        self._hold(len(message.get("body", b"")))
        self._news.set()

    def close(self) -> None:
        """Nothing more will be put."""
        self._closed = True
        self._news.set()

    def release(self) -> None:
        """Give back what is still held, of a reply that was cut off."""
        self._hold(-self._held)

    def _hold(self, count: int) -> None:
        self._held += count
        self._budget.held_bytes += count

    async def send_all(self) -> None:
        """Send what is put, until closed."""
        try:
            while not (self._closed and not self._messages):
                await self._news.wait()
                self._news.clear()
                await self._send_put()
        finally:  # whoever still waits to put something must not wait for ever
            async with self._changed:
                self._broken = True
                self._changed.notify_all()

    async def _send_put(self) -> None:
        while self._messages:
            message = self._messages.popleft()
            await self._send(message)
            async with self._changed:
                self._hold(-len(message.get("body", b"")))
                self._changed.notify_all()
