"""Django's side of the edge: the tenant is entered here, once, around everything that follows."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.utils import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.core.api.problems import as_domain_error
from apps.core.errors import DomainError
from apps.core.tenancy import TenantRef, in_tenant
from apps.gateway.csp import is_api
from apps.gateway.identity import principal_for_user, resolve_caller
from apps.gateway.ratelimit import limit_principal, limit_sign_in
from apps.gateway.refusals import refusal
from apps.tenants.selectors import Principal

SIGN_IN_PATHS = frozenset({"/login/", "/admin/login/"})


class TenantMiddleware:
    """Resolves the tenant by host or key and runs the whole request inside it; refuses the rest.

    `request.tenant` is the TenantRef, `request.principal` the key or the signed-in member, or None.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            caller = resolve_caller(request)
        except (DomainError, OperationalError, InterfaceError) as error:
            return refusal(request, error)
        request.tenant = caller.tenant  # type: ignore[attr-defined]  # the two names every view reads
        request.principal = caller.principal  # type: ignore[attr-defined]
        with in_tenant(caller.tenant):
            return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        """Runs after the session middleware: a cookie becomes a principal, and API calls are counted."""
        tenant: TenantRef = request.tenant  # type: ignore[attr-defined]
        if request.principal is None and settings.SESSION_COOKIE_NAME in request.COOKIES:  # type: ignore[attr-defined]
            request.principal = principal_for_user(request.user, tenant)  # type: ignore[attr-defined]
        principal: Principal | None = request.principal  # type: ignore[attr-defined]
        try:
            if principal is not None and is_api(request.path):
                limit_principal(principal)
            elif request.method == "POST" and request.path in SIGN_IN_PATHS:
                limit_sign_in(tenant, request.META.get("REMOTE_ADDR", ""), request.POST.get("username", ""))
        except DomainError as error:
            return refusal(request, error)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """A refusal that a page's view did not catch; DRF's views answer for themselves."""
        return refusal(request, exception) if as_domain_error(exception) is not None else None
