"""DRF's view of who is calling. The gateway has resolved `request.principal` before any view runs."""

from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.authentication import SessionAuthentication as DrfSessionAuthentication
from rest_framework.request import Request

CHALLENGE = 'Bearer realm="cybernetic"'


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer cyb_...`; the gateway has already refused a key that is not valid here."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        principal = getattr(request._request, "principal", None)
        return (principal, None) if principal is not None and principal.kind == "key" else None

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(DrfSessionAuthentication):
    """A signed-in browser; every unsafe method must pass Django's CSRF check."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        principal = getattr(request._request, "principal", None)
        if principal is None or principal.kind != "user":
            return None
        self.enforce_csrf(request)
        return principal, None
