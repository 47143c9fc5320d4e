"""The bridge to Django: one thread per request in work, none for clients that read slowly."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from a2wsgi import WSGIMiddleware

from apps.gateway.asgi.types import Message, Receive, Scope, Send


class Bridge:
    """Django's WSGI handler as an ASGI application.

    A reply is buffered up to `buffer_bytes`, so that its thread is free as soon as the view is done and not when the
    client has read the last byte; beyond that the view waits for the client.
    """

    def __init__(self, wsgi: Callable[..., Any], *, threads: int, buffer_bytes: int) -> None:
        self._inner = WSGIMiddleware(wsgi, workers=threads)
        self._buffer_bytes = buffer_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outbox = _Outbox(send, limit_bytes=self._buffer_bytes)
        sending = asyncio.create_task(outbox.send_all())
        try:
            await self._inner(scope, receive, outbox.put)  # type: ignore[arg-type]  # its message types are TypedDicts
            outbox.close()
            await sending
        finally:
            sending.cancel()


class _Outbox:
    """Messages on their way to one client."""

    def __init__(self, send: Send, *, limit_bytes: int) -> None:
        self._send = send
        self._limit = limit_bytes
        self._messages: deque[Message] = deque()
        self._held = 0
        self._closed = False
        self._broken = False
        self._changed = asyncio.Condition()
        self._news = asyncio.Event()

    async def put(self, message: Message) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._held < self._limit or self._broken)
        self._messages.append(message)
        self._held += len(message.get("body", b""))
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def send_all(self) -> None:
        try:
            await self._send_all()
        finally:  # whoever still waits to put something must not wait for ever
            async with self._changed:
                self._broken = True
                self._changed.notify_all()

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._messages:
                message = self._messages.popleft()
                await self._send(message)
                async with self._changed:
                    self._held -= len(message.get("body", b""))
                    self._changed.notify_all()
            if self._closed:
                return
