"""One port, three kinds of traffic: native streams, health, and everything else over the bridge to Django."""

import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

from apps.capabilities import llm
from apps.core.conf import core_settings
from apps.core.errors import NotFound
from apps.gateway.asgi.bridge import Bridge
from apps.gateway.asgi.chat import ChatRoute
from apps.gateway.asgi.edge import Edge
from apps.gateway.asgi.events import EventsRoute
from apps.gateway.asgi.probes import live, ready_route
from apps.gateway.asgi.replies import send_json
from apps.gateway.asgi.types import AsgiApp, Receive, Scope, Send
from apps.gateway.conf import GatewaySettings, gateway_settings
from apps.gateway.hub import Hub

log = logging.getLogger(__name__)

NO_SUCH_SOCKET = 4404


def build_application(
    wsgi: Callable[..., Any], *, options: GatewaySettings | None = None, hub: Hub | None = None
) -> AsgiApp:
    """The ASGI application around Django's WSGI handler; `options` and `hub` are the configured ones by default."""
    options = options or gateway_settings()
    hub = hub or Hub(options, redis_url=core_settings().redis_url)
    bridge = Bridge(
        wsgi,
        threads=options.bridge_threads,
        buffer_bytes=options.reply_buffer_bytes,
        buffer_total_bytes=options.reply_buffer_total_bytes,
    )
    routes: list[tuple[str, Any]] = [
        (r"^v1/events/?$", EventsRoute(hub, retry_ms=options.retry_ms)),
        (r"^v1/chat/?$", ChatRoute(heartbeat_s=options.stream_heartbeat_s)),
        (r"^health/live/?$", live),
        (r"^health/ready/?$", ready_route()),
        (r"^", bridge),
    ]
    http = URLRouter([re_path(pattern, route) for pattern, route in routes])
    router: AsgiApp = ProtocolTypeRouter(
        {"http": Edge(http, options), "websocket": refuse_socket, "lifespan": Lifespan(hub)}
    )
    return router


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """There are no WebSocket routes: refuse the handshake with 404, or close with 4404 where the server cannot."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": NO_SUCH_SOCKET})
        return

    async def send_denial(message: Any) -> None:
        await send({**message, "type": message["type"].replace("http.", "websocket.http.", 1)})

    error = NotFound("There is no WebSocket under that address.")
    await send_json(send_denial, error.status, {"code": error.code, "detail": error.detail})


class Lifespan:
    """Start and stop of the server process. The first stop signal ends the event streams, so that it need not wait."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._drain_on_signal()
                llm.warm_up()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._hub.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _drain_on_signal(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def drain_first(
                received: int, stack: FrameType | None, *, before: Any = before
            ) -> None:  # runs between bytecodes of the loop's own thread
                self._hub.drain()
                if callable(before):
                    before(received, stack)

            try:
                signal.signal(number, drain_first)
            except ValueError:  # not the main thread: a test server; its owner stops the streams
                log.debug("signals stay with the main thread")
                return
