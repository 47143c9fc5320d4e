"""Signing in and out."""

from typing import Any, cast

from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apps.gateway.pages.forms import SignInForm
from apps.gateway.pages.shell import PageRequest, tenant_name


class SignIn(LoginView):
    """Email and password; a member who is signed in already goes on."""

    template_name = "pages/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        name = tenant_name(cast("PageRequest", self.request).tenant)
        return super().get_context_data(**kwargs, tenant_name=name)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("pages:login")
