"""What every page has in common: who may see it, the header's facts, and how refusals are shown."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render, resolve_url
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from apps.core.api.permissions import role_allows
from apps.core.errors import DomainError, PermissionRefused
from apps.core.tenancy import TenantRef
from apps.gateway.refusals import refusal
from apps.tenants.models import Tenant
from apps.tenants.selectors import Principal

P = ParamSpec("P")


class PageRequest(HttpRequest):
    """A request behind the tenant and htmx middleware; `principal` is set on every page but the sign-in."""

    tenant: TenantRef
    principal: Principal
    htmx: HtmxDetails


View = Callable[Concatenate[PageRequest, P], HttpResponse]
GuardedView = Callable[Concatenate[HttpRequest, P], HttpResponse]


@dataclass(frozen=True, slots=True)
class Shell:
    """The facts of the header, and what the page may offer to this person."""

    tenant_name: str
    email: str
    role: str
    is_editor: bool
    is_operator: bool
    csrf_cookie: str


def tenant_name(tenant: TenantRef) -> str:
    """The organisation as it calls itself."""
    return str(Tenant.objects.values_list("name", flat=True).get(pk=tenant.id))


def shell_for(request: PageRequest) -> Shell:
    """The header of one request of a signed-in person."""
    principal = request.principal
    return Shell(
        tenant_name=tenant_name(request.tenant),
        email=principal.label,
        role=principal.role,
        is_editor=role_allows(principal.role, "editor"),
        is_operator=role_allows(principal.role, "operator"),
        csrf_cookie=settings.CSRF_COOKIE_NAME,
    )


def is_signed_in(request: PageRequest) -> bool:
    """Whether the middleware found a member or key behind this request."""
    return cast("Principal | None", request.principal) is not None


def is_fragment(request: PageRequest) -> bool:
    """Whether htmx asks for a part of a page; going back in history asks for all of it."""
    return bool(request.htmx) and not request.htmx.history_restore_request


def render_page(
    request: PageRequest, template: str, context: dict[str, Any], *, section: str = "", status: int = 200
) -> HttpResponse:
    """A page or a part of one, with the shell in its context and the token's cookie set for scripts."""
    get_token(request)
    return render(request, template, {"shell": shell_for(request), "section": section, **context}, status=status)


def page(*, role: str = "viewer") -> Callable[[View[P]], GuardedView[P]]:
    """A page for signed-in members holding `role`: others sign in or are refused, and nothing of it is cached."""

    def decorate(view: View[P]) -> GuardedView[P]:
        @wraps(view)
        def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            ours = cast("PageRequest", request)
            if not is_signed_in(ours):
                return _to_login(ours)
            try:
                if not role_allows(ours.principal.role, role):
                    raise PermissionRefused("Your role does not allow this.")
                response = view(ours, *args, **kwargs)
            except DomainError as error:
                response = refusal(request, error)
            add_never_cache_headers(response)
            patch_vary_headers(response, ["HX-Request", "Cookie"])
            return response

        return wrapped

    return decorate


def _to_login(request: PageRequest) -> HttpResponse:
    login = resolve_url(settings.LOGIN_URL)
    if request.htmx:
        back = redirect_to_login(request.htmx.current_url_abs_path or "/", login)
        return HttpResponseClientRedirect(back.url)
    return redirect_to_login(request.get_full_path(), login)
