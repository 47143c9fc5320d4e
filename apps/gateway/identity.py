"""Who is calling, and for which tenant: one answer for bridged requests and native streams."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.authentication import CSRFCheck

from apps.core.api.errors import HostUnknown, TokenInvalid
from apps.core.api.permissions import role_allows
from apps.core.api.problems import CsrfFailed
from apps.core.errors import PermissionRefused
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.errors import InvalidCredentials
from apps.tenants.models import User
from apps.tenants.selectors import Principal, principal_for_key, tenant_for_host


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant a request is for, and who sends it; `principal` is None for an anonymous one."""

    tenant: TenantRef
    principal: Principal | None


def _bearer(request: HttpRequest) -> str | None:
    """The key of an Authorization header; None without one, or with another scheme (a proxy's own, say)."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def resolve_caller(request: HttpRequest) -> Caller:
    """The tenant by key and host; the principal when a key is sent.

    An unregistered host leaves it to the key. Raises TokenInvalid for a bad key, or one of another tenant than the
    host's, and HostUnknown without either.
    """
    raw = _bearer(request)
    try:
        principal = principal_for_key(raw) if raw is not None else None
    except InvalidCredentials:
        raise TokenInvalid from None
    tenant = tenant_for_host(request.META.get("HTTP_HOST", ""))
    if principal is None:
        if tenant is None:
            raise HostUnknown
        return Caller(tenant, None)
    if tenant is not None and tenant.id != principal.tenant.id:
        raise TokenInvalid
    return Caller(principal.tenant, principal)


def principal_for_user(user: Any, tenant: TenantRef) -> Principal | None:
    """A signed-in member as a principal; None for anonymous users and for members of other tenants only."""
    if not isinstance(user, User) or not user.is_active or not user.current_role:
        return None
    return Principal("user", user.pk, tenant, user.current_role, user.email)


def resolve_native(request: HttpRequest, *, role: str, check_csrf: bool = False) -> Principal:
    """The principal of a native route's request, by key or session cookie, holding at least `role`.

    Raises TokenInvalid, HostUnknown, PermissionRefused, or CsrfFailed for a cookie without this site's token.
    """
    caller = resolve_caller(request)
    principal = caller.principal
    if principal is None:
        with in_tenant(caller.tenant):
            principal = _session_principal(request, caller.tenant, check_csrf=check_csrf)
    if principal is None:
        raise TokenInvalid
    if not role_allows(principal.role, role):
        raise PermissionRefused("Your role does not allow this.")
    return principal


def _session_principal(request: HttpRequest, tenant: TenantRef, *, check_csrf: bool) -> Principal | None:
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not cookie:
        return None
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(cookie)
    if SESSION_KEY not in request.session:
        return None
    principal = principal_for_user(get_user(request), tenant)
    if principal is not None and check_csrf:
        require_csrf(request)
    return principal


def require_csrf(request: HttpRequest) -> None:
    """Django's own check of Origin, Referer and token, for a request that no middleware has seen."""

    def unreached(_: HttpRequest) -> HttpResponseBase:
        raise AssertionError("CSRFCheck never calls on")

    check = CSRFCheck(unreached)
    check.process_request(request)
    if check.process_view(request, None, (), {}):  # type: ignore[arg-type]  # the view is not looked at
        raise CsrfFailed("The CSRF token is missing or wrong: reload the page and try again.")
