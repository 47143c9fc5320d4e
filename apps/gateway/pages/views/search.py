"""Search, as a form that works without scripts and swaps its results with htmx."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.content.selectors.documents import documents_visible
from apps.content.selectors.search import SearchFilters
from apps.content.services.search import Explanation, FacetCount, SearchHit, SearchResponse, search
from apps.core.errors import DomainError
from apps.gateway.pages.presenting import Part, origin_link, snippet
from apps.gateway.pages.shell import PageRequest, is_fragment, page, render_page
from apps.gateway.templatetags.ui import media

PAGE_SIZE = 20
QUERY_MAX_CHARS = 1000
FILTER_MAX = 20
KIND_BY_SCHEME = {"upload": "upload", "builtin": "builtin"}


@dataclass(frozen=True, slots=True)
class SearchForm:
    """What the address asks for. Filters are lists: several values of one facet widen it."""

    q: str
    source: tuple[str, ...]
    content_type: tuple[str, ...]
    max_length: int = QUERY_MAX_CHARS

    @classmethod
    def of(cls, request: PageRequest) -> "SearchForm":
        chosen = request.GET.getlist
        return cls(
            q=request.GET.get("q", "").strip()[:QUERY_MAX_CHARS],
            source=tuple(filter(None, chosen("source")[:FILTER_MAX])),
            content_type=tuple(filter(None, chosen("content_type")[:FILTER_MAX])),
        )

    def href(self, **changed: tuple[str, ...]) -> str:
        """The address of the same search with other filters."""
        values = {"source": self.source, "content_type": self.content_type} | changed
        return f"{reverse('pages:search')}?{urlencode({'q': self.q, **values}, doseq=True)}"

    def href_toggling(self, facet: str, value: str) -> str:
        """The address with one filter value added, or taken away."""
        held: tuple[str, ...] = getattr(self, facet)
        return self.href(**{facet: tuple(v for v in held if v != value) if value in held else (*held, value)})


@dataclass(frozen=True, slots=True)
class Option:
    label: str
    count: int
    selected: bool
    href: str


@dataclass(frozen=True, slots=True)
class Facet:
    label: str
    options: list[Option]


@dataclass(frozen=True, slots=True)
class Hit:
    """One result as the page shows it."""

    href: str
    title: str
    source_label: str
    source_kind: str
    content_type: str
    heading_path: tuple[str, ...]
    snippet: list[Part]
    origin_href: str
    origin_label: str
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class Found:
    hits: list[Hit]
    facets: list[Facet]
    took_ms: float
    vector_backend: str
    filtered: bool
    clear_href: str


@require_GET
@page()
def search_page(request: PageRequest) -> HttpResponse:
    """The box alone, or with results; htmx gets the results only."""
    form = SearchForm.of(request)
    ready = documents_visible().filter(status="ready").order_by()
    context: dict[str, object] = {"form": form, "documents_ready": ready.exists() if form.q else ready.count()}
    status = 200
    if form.q:
        filters = SearchFilters(source=form.source, content_type=form.content_type)
        try:
            context["found"] = _found(form, search(form.q, limit=PAGE_SIZE, filters=filters, explain=True))
        except DomainError as error:
            context["error"], status = error, error.status
    template = "parts/results.html" if is_fragment(request) and form.q else "pages/search.html"
    return render_page(request, template, context, section="search", status=status)


def _found(form: SearchForm, response: SearchResponse) -> Found:
    return Found(
        hits=[_hit(hit) for hit in response.results],
        facets=[
            _facet(form, "Source", "source", response.facets.source, form.source),
            _facet(form, "Type", "content_type", response.facets.content_type, form.content_type),
        ],
        took_ms=response.took_ms,
        vector_backend=response.vector_backend,
        filtered=bool(form.source or form.content_type),
        clear_href=form.href(source=(), content_type=()),
    )


def _facet(form: SearchForm, label: str, name: str, counts: Sequence[FacetCount], chosen: Sequence[str]) -> Facet:
    options = [
        Option(
            label=media(item.label) if name == "content_type" else item.label,
            count=item.count,
            selected=item.value in chosen,
            href=form.href_toggling(name, item.value),
        )
        for item in counts
    ]
    known = {item.value for item in counts}
    options += [Option(value, 0, True, form.href_toggling(name, value)) for value in chosen if value not in known]
    return Facet(label, options)


def _hit(hit: SearchHit) -> Hit:
    first = hit.highlights[0] if hit.highlights else hit.chunk
    address, label = origin_link(hit.source_uri)
    return Hit(
        href=f"{reverse('pages:document', args=[hit.document_id])}#c{first.start}-{first.end}",
        title=hit.title or hit.source_uri,
        source_label=hit.source_name,
        source_kind="web" if address else KIND_BY_SCHEME.get(hit.source_uri.partition(":")[0], "path"),
        content_type=hit.content_type,
        heading_path=hit.chunk.heading_path[1:]
        if hit.chunk.heading_path[:1] == (hit.title,)
        else hit.chunk.heading_path,
        snippet=snippet(hit.chunk.text, hit.chunk.start, hit.highlights),
        origin_href=hit.deep_link if address else "",
        origin_label=label,
        explanation=hit.explanation,
    )
