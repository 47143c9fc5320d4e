"""One document: its text with the cited passage in view, where it comes from, and what can be done with it."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from apps.content.errors import DocumentMissing
from apps.content.selectors.documents import chunks_of_document, content_of_document, document_by_id
from apps.content.services.documents import remove_document, retry_document
from apps.gateway.pages.presenting import Heading, blocks, origin_link
from apps.gateway.pages.shell import PageRequest, is_fragment, page, render_page
from apps.gateway.pages.views.content import DocumentsView, documents_context

TEXT_SHOWN_CHARS = 1_500_000
SECTIONS_SHOWN = 200


@require_GET
@page()
def document_page(request: PageRequest, document_id: UUID) -> HttpResponse:
    """The document; scripts mark the passage that the address names."""
    document = document_by_id(document_id)
    context = {
        "document": document,
        "origin_href": origin_link(document.uri)[0],
        "chunk_count": chunks_of_document(document).count() if document.blob_id else 0,
        "size_bytes": document.blob.size_bytes if document.blob else None,
    }
    try:
        content = content_of_document(document_id)
    except DocumentMissing:
        pass  # nothing has been read from it yet: the page says how far it is
    else:
        headings = [Heading(level, text, start) for level, text, start in content.headings]
        shown = blocks(content.text, headings, max_chars=TEXT_SHOWN_CHARS)
        context |= {
            "blocks": shown,
            "headings": [block for block in shown if block.level][:SECTIONS_SHOWN],
            "truncated": len(content.text) > TEXT_SHOWN_CHARS,
            "language": content.language,
        }
    return render_page(request, "pages/document.html", context, section="content")


@require_POST
@page(role="operator")
def retry(request: PageRequest, document_id: UUID) -> HttpResponse:
    """Process a failed document again."""
    retry_document(document_id)
    if is_fragment(request):
        return _table(request)
    messages.success(request, "It is being processed again.")
    return redirect("pages:document", document_id)


@require_POST
@page(role="editor")
def remove(request: PageRequest, document_id: UUID) -> HttpResponse:
    """Take a document out of search and chat. Without scripts the question comes on a page of its own."""
    document = document_by_id(document_id)
    if not is_fragment(request) and request.POST.get("confirmed") != "1":
        return render_page(request, "pages/confirm_remove.html", {"document": document})
    remove_document(document_id, reason="removed_by_user")
    if is_fragment(request):
        return _table(request)
    messages.success(request, f"“{document.title or document.uri}” was removed.")
    return redirect("pages:ingest")


def _table(request: PageRequest) -> HttpResponse:
    view = DocumentsView.of(QueryDict(request.POST.get("view", "")))
    return render_page(request, "parts/documents.html", documents_context(view))
