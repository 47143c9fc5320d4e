"""Refusals outside of DRF: problem+json for machines, a page for people."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import TemplateDoesNotExist
from django.template.loader import select_template

from apps.core.api.errors import RequestMalformed
from apps.core.api.problems import MEDIA_TYPE, CsrfFailed, InternalError, problem, problem_headers, refusal_for
from apps.core.errors import DomainError, NotFound, PermissionRefused
from apps.gateway.csp import is_api


def refusal(request: HttpRequest, error: Exception) -> HttpResponse:
    """The reply that says `error`, in the form this client reads."""
    return _render(request, refusal_for(error))


def _render(request: HttpRequest, error: DomainError) -> HttpResponse:
    if is_api(request.path) or "text/html" not in request.headers.get("Accept", ""):
        response: HttpResponse = JsonResponse(problem(error), status=error.status, content_type=MEDIA_TYPE)
    else:
        response = _page(error)
    for name, value in problem_headers(error).items():
        response[name] = value
    response["Content-Length"] = str(len(response.content))
    return response


def _page(error: DomainError) -> HttpResponse:
    context = problem(error)
    try:
        template = select_template([f"errors/{error.status}.html", "errors/error.html"])
    except TemplateDoesNotExist:
        text = f"{error.status} {error.title}\n\n{error.detail}\n\nTrace id: {context['trace_id']}\n"
        return HttpResponse(text, status=error.status, content_type="text/plain; charset=utf-8")
    return HttpResponse(template.render(context), status=error.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400"""
    return _render(request, RequestMalformed("The request could not be read."))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403"""
    return _render(request, PermissionRefused("Your role does not allow this."))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404"""
    return _render(request, NotFound("There is nothing here under that address."))


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500; Django has logged the traceback."""
    return _render(request, InternalError())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW"""
    return _render(request, CsrfFailed("The form's token is missing or too old: reload the page and try again."))
