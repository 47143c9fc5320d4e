"""Complete replies of native routes."""

import msgspec

from apps.core.api.problems import MEDIA_TYPE, problem, problem_headers
from apps.core.errors import DomainError
from apps.gateway.asgi.types import Send


async def send_json(
    send: Send,
    status: int,
    body: object,
    *,
    media_type: str = "application/json",
    headers: dict[str, str] | None = None,
) -> None:
    """One JSON reply."""
    content = msgspec.json.encode(body)
    fields = {"Content-Type": media_type, "Content-Length": str(len(content))} | (headers or {})
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in fields.items()],
        }
    )
    await send({"type": "http.response.body", "body": content})


async def send_problem(send: Send, error: DomainError, *, close: bool = False) -> None:
    """One problem reply; `close` also ends the connection, for a body that was not read to its end."""
    headers = problem_headers(error) | ({"Connection": "close"} if close else {})
    await send_json(send, error.status, problem(error), media_type=MEDIA_TYPE, headers=headers)
