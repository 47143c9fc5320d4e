"""What every native route does first: method, caller, limits."""

import asyncio
from io import BytesIO
from typing import cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from apps.core.api.errors import MethodNotAllowed
from apps.core.tenancy import run_in_system
from apps.gateway.asgi.types import Scope
from apps.gateway.identity import resolve_native
from apps.gateway.ratelimit import limit_principal
from apps.tenants.selectors import Principal


def native_request(scope: Scope) -> HttpRequest:
    """Django's view of a native request's headers, cookies and query; the body stays with the route."""
    return ASGIRequest(cast("dict[str, object]", scope), BytesIO())


def require_method(scope: Scope, *allowed: str) -> None:
    if scope["method"] not in allowed:
        raise MethodNotAllowed(f"Use {' or '.join(allowed)} here.", allow=", ".join(allowed))


async def authorise(scope: Scope, *, role: str) -> Principal:
    """The caller, holding `role` and within the rate limit. A cookie on an unsafe method must pass the CSRF check."""
    request = native_request(scope)
    principal = await run_in_system(
        "native route", resolve_native, request, role=role, check_csrf=scope["method"] not in {"GET", "HEAD"}
    )
    await asyncio.to_thread(limit_principal, principal)
    return principal
