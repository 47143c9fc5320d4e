"""POST /v1/chat: an answer with citations, streamed as it is written."""

import asyncio
import logging
from asyncio import Queue
from collections.abc import AsyncGenerator
from contextlib import aclosing

from rest_framework import serializers

from apps.content.streams import ChatEvent, answer_stream
from apps.core.api.errors import MediaTypeUnsupported
from apps.core.api.json import loads_strict
from apps.core.api.parsers import require_utf8
from apps.core.api.problems import InternalError, problem
from apps.core.api.serializers import StrictSerializer
from apps.core.api.trace import current_trace_id
from apps.core.errors import DomainError
from apps.gateway.asgi.native import authorise, require_method
from apps.gateway.asgi.types import ClientGone, Receive, Scope, Send, header
from apps.gateway.sse import HEARTBEAT, EventStream, event_stream, frame, until_disconnected

log = logging.getLogger(__name__)

QUEUE_EVENTS = 16


class ChatRequestSerializer(StrictSerializer):
    """What a chat request may say; how long a message may be is the answering service's to refuse."""

    message = serializers.CharField()
    conversation_id = serializers.UUIDField(required=False, allow_null=True)


class ChatRoute:
    """The route. Everything that can be refused is refused before the stream begins."""

    def __init__(self, *, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        require_method(scope, "POST")
        principal = await authorise(scope, role="viewer")
        request = ChatRequestSerializer(data=await _json_body(scope, receive))
        request.is_valid(raise_exception=True)
        answer = answer_stream(
            principal.tenant,
            principal.owner,
            request.validated_data["message"],
            request.validated_data.get("conversation_id"),
        )
        events: Queue[ChatEvent | DomainError | None] = Queue(maxsize=QUEUE_EVENTS)
        pump = asyncio.create_task(_pump(answer, events))
        try:
            first = await events.get()
            if isinstance(first, DomainError):
                raise first
            async with event_stream(send) as out:
                await until_disconnected(receive, lambda: self._send_answer(out, first, events))
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _send_answer(
        self, out: EventStream, first: ChatEvent | None, events: "Queue[ChatEvent | DomainError | None]"
    ) -> None:
        event: ChatEvent | DomainError | None = first
        while event is not None:
            if isinstance(event, DomainError):
                await out.write(frame("error", problem(event)))
            else:
                await out.write(frame(event.name, event.data))
            event = await self._next(out, events)

    async def _next(
        self, out: EventStream, events: "Queue[ChatEvent | DomainError | None]"
    ) -> ChatEvent | DomainError | None:
        """The next event, after a heartbeat for every silence of `heartbeat_s`; None at the end."""
        while True:
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    return await events.get()
            except TimeoutError:
                await out.write(HEARTBEAT + b"\n")


async def _pump(answer: AsyncGenerator[ChatEvent, None], events: "Queue[ChatEvent | DomainError | None]") -> None:
    """Run the answer in one task of its own; cancelling it closes the generator, and with it the provider's stream."""
    try:
        async with aclosing(answer):
            async for event in answer:
                await events.put(event)
    except DomainError as error:
        await events.put(error)
    except Exception:  # boundary: once the stream has begun, a fault can only be told inside it
        log.exception("chat failed trace_id=%s", current_trace_id())
        await events.put(InternalError())
    await events.put(None)


async def _json_body(scope: Scope, receive: Receive) -> object:
    content_type = header(scope, b"content-type") or ""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeUnsupported("Send the question as application/json.")
    require_utf8(content_type)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return loads_strict(bytes(body))
