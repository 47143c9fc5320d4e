"""GET /health/live and /health/ready. They need no tenant, no key and, for liveness, nothing but the event loop."""

from apps.gateway.asgi.native import require_method
from apps.gateway.asgi.replies import send_json
from apps.gateway.asgi.types import AsgiApp, Receive, Scope, Send
from apps.gateway.conf import gateway_settings
from apps.gateway.health import Health


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """The process answers."""
    require_method(scope, "GET", "HEAD")
    await send_json(send, 200, {"status": "ok"})


def ready_route() -> AsgiApp:
    """Every dependency by name; 503 only when PostgreSQL is down."""
    health = Health(gateway_settings())

    async def ready(scope: Scope, receive: Receive, send: Send) -> None:
        require_method(scope, "GET", "HEAD")
        report = await health.report()
        unavailable = report["status"] == "unavailable"
        await send_json(
            send, 503 if unavailable else 200, report, headers={"Retry-After": "1"} if unavailable else None
        )

    return ready
