"""Cited chat: the page around POST /v1/chat."""

from django.http import HttpResponse
from django.views.decorators.http import require_GET

from apps.content.services.chat import answering_model
from apps.gateway.pages.shell import PageRequest, page, render_page


@require_GET
@page()
def chat_page(request: PageRequest) -> HttpResponse:
    """The conversation; scripts load and stream it over the API."""
    return render_page(request, "pages/chat.html", {"model": answering_model()}, section="chat")
