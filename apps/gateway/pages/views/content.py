"""Content in: the drop zone, runs, documents and sources, as one page and its refreshable parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.content.selectors.documents import documents_visible
from apps.content.selectors.runs import progress_of_runs, runs_recent
from apps.content.selectors.sources import source_by_id, sources_with_counts
from apps.content.services.ingest import ingest_upload, ingest_url
from apps.content.services.sources import resume_source
from apps.core.correlation import correlation
from apps.core.errors import DomainError, PermissionRefused
from apps.gateway.pages.forms import AddressForm
from apps.gateway.pages.shell import PageRequest, is_fragment, page, render_page
from apps.gateway.pages.views.system import shown_episodes
from apps.vsm.selectors import correlation_of_episode

DOCUMENTS_SHOWN = 50
RUNS_SHOWN = 8
SOURCES_SHOWN = 100
# Tab -> the statuses it shows.
TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("All", ()),
    "working": ("In work", ("pending", "processing")),
    "ready": ("Ready", ("ready",)),
    "failed": ("Failed", ("failed",)),
    "held": ("Held", ("held",)),
}
# Statuses that figures elsewhere link to.
ALIASES = {"pending": "working", "processing": "working"}


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    count: int
    selected: bool
    href: str
    fragment: str


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run with its progress; `share` is of 1, `settled` = items that have ended, well or not."""

    id: UUID
    origin: str
    status: str
    share: float
    settled: int
    total: int
    failed: int
    held: int
    rate_per_s: float
    eta_s: float | None
    when: datetime


@dataclass(frozen=True, slots=True)
class DocumentsView:
    """Which documents the table shows, as its address says."""

    status: str
    source_id: UUID | None
    before: UUID | None

    @classmethod
    def of(cls, given: QueryDict) -> "DocumentsView":
        status = given.get("status", "")
        status = ALIASES.get(status, status)
        return cls(status if status in TABS else "", _uuid(given.get("source")), _uuid(given.get("before")))

    def query(self, **changed: object) -> str:
        values = {"status": self.status, "source": self.source_id, "before": self.before} | changed
        return urlencode({name: value for name, value in values.items() if value})


def _uuid(raw: str | None) -> UUID | None:
    try:
        return UUID(raw or "")
    except ValueError:
        return None


def _href(query: str, *, part: bool = False) -> str:
    address = reverse("pages:documents" if part else "pages:ingest")
    return f"{address}?{query}" if query else address


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def ingest_page(request: PageRequest) -> HttpResponse:
    """Everything about content; a POST from a browser without scripts brings one address or files in."""
    if request.method == "POST":
        return _add(request)
    return _whole_page(request)


def _whole_page(request: PageRequest, *, url: str = "", error: str = "", status: int = 200) -> HttpResponse:
    context = documents_context(DocumentsView.of(request.GET)) | _runs() | _sources() | {"url": url, "error": error}
    return render_page(request, "pages/ingest.html", context, section="content", status=status)


def _add(request: PageRequest) -> HttpResponse:
    if not request.principal.has_role("editor"):
        raise PermissionRefused("Your role does not allow this.")
    files = request.FILES.getlist("file")
    form = AddressForm(request.POST)
    if not files and not form.is_valid():
        given = request.POST.get("url", "")
        return _whole_page(request, url=given, error=" ".join(map(str, form.errors.get("url", []))), status=422)
    try:
        for file in files:
            _ingest_file(file)
        if not files:
            ingest_url(form.cleaned_data["url"])
    except DomainError as error:
        return _whole_page(request, url=request.POST.get("url", ""), error=error.detail, status=error.status)
    messages.success(request, "Accepted. It is being read now.")
    return redirect("pages:ingest")


def _ingest_file(file: "UploadedFile[bytes]") -> None:
    media_type = f"{file.content_type or ''}; charset={file.charset}" if file.charset else file.content_type or ""
    ingest_upload(file.name or "", file.read(), media_type)


@require_GET
@page()
def documents_part(request: PageRequest) -> HttpResponse:
    """The table alone; opened by itself it is the whole page."""
    if not is_fragment(request):
        return redirect(_href(DocumentsView.of(request.GET).query()))
    return render_page(request, "parts/documents.html", documents_context(DocumentsView.of(request.GET)))


@require_GET
@page()
def runs_part(request: PageRequest) -> HttpResponse:
    """The recent runs alone."""
    return render_page(request, "parts/runs.html", _runs())


@require_GET
@page()
def sources_part(request: PageRequest) -> HttpResponse:
    """The sources alone."""
    return render_page(request, "parts/sources.html", _sources())


@require_POST
@page(role="operator")
def resume(request: PageRequest, source_id: UUID) -> HttpResponse:
    """Fetch from a paused source again; answers with the part of the page that asked."""
    episode_id = source_by_id(source_id).paused_episode_id
    with correlation(correlation_of_episode(episode_id) if episode_id else None):
        resume_source(source_id, actor=request.principal.label)
    from_episodes = request.POST.get("view") == "episodes"
    if not is_fragment(request):
        messages.success(request, "The source is active again.")
        return redirect("pages:vsm" if from_episodes else "pages:ingest")
    if from_episodes:
        return render_page(request, "parts/episodes.html", {"episodes": shown_episodes()})
    return render_page(request, "parts/sources.html", _sources())


def documents_context(view: DocumentsView) -> dict[str, Any]:
    """The table of one view, with the tabs over it."""
    rows = documents_visible()
    if view.source_id:
        rows = rows.filter(source_id=view.source_id)
    counts = dict(rows.order_by().values_list("status").annotate(n=Count("pk")))
    statuses = TABS[view.status][1]
    if statuses:
        rows = rows.filter(status__in=statuses)
    if view.before:
        rows = rows.filter(pk__lt=view.before)
    found = list(rows[: DOCUMENTS_SHOWN + 1])
    shown = found[:DOCUMENTS_SHOWN]
    older = view.query(before=shown[-1].pk) if len(found) > DOCUMENTS_SHOWN else ""
    return {
        "documents": shown,
        "documents_query": view.query(),
        "documents_fragment": _href(view.query(), part=True),
        "older_href": _href(older) if older else "",
        "older_fragment": _href(older, part=True) if older else "",
        "status_filter": view.status,
        "source_filter": source_by_id(view.source_id) if view.source_id else None,
        "tabs": [_tab(name, view, counts) for name in TABS],
    }


def _tab(name: str, view: DocumentsView, counts: dict[str, int]) -> Tab:
    label, statuses = TABS[name]
    query = view.query(status=name, before=None)
    count = sum(counts.get(status, 0) for status in statuses) if statuses else sum(counts.values())
    return Tab(label, count, name == view.status, _href(query), _href(query, part=True))


def _runs() -> dict[str, Any]:
    runs = list(runs_recent()[:RUNS_SHOWN])
    progress = progress_of_runs(runs)
    return {
        "runs": [
            ShownRun(
                id=run.pk,
                origin=run.origin,
                status=run.status,
                share=progress[run.pk].percent / 100,
                settled=progress[run.pk].done + progress[run.pk].failed,
                total=progress[run.pk].total,
                failed=progress[run.pk].failed,
                held=progress[run.pk].held,
                rate_per_s=progress[run.pk].rate_per_s,
                eta_s=progress[run.pk].eta_s,
                when=run.finished_at or run.created_at,
            )
            for run in runs
        ]
    }


def _sources() -> dict[str, Any]:
    found = list(sources_with_counts()[:SOURCES_SHOWN])
    return {"sources": sorted(found, key=lambda source: source.state != "paused")}
