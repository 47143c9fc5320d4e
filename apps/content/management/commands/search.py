"""Search a tenant's content from the shell."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.text import Text

from apps.content.selectors.search import SearchFilters
from apps.content.services.highlighting import Highlight
from apps.content.services.search import SearchHit, SearchResponse, search
from apps.core.errors import DomainError
from apps.core.tenancy import in_tenant
from apps.tenants.selectors import tenant_by_slug


class Command(BaseCommand):
    help = "Search a tenant's content: full text and vectors, fused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query")
        parser.add_argument("--tenant", required=True, help="The tenant's slug.")
        parser.add_argument("--limit", type=int, default=10)
        parser.add_argument("--source", action="append", default=[], help="Only this source (id or name); repeatable.")
        parser.add_argument("--type", action="append", default=[], dest="content_type", help="Only this content type.")
        parser.add_argument("--explain", action="store_true", help="Show rank and score per leg.")
        parser.add_argument("--json", action="store_true", help="One JSON document on stdout.")

    def handle(self, *, query: str, tenant: str, limit: int, explain: bool, **options: Any) -> None:
        filters = SearchFilters(source=tuple(options["source"]), content_type=tuple(options["content_type"]))
        try:
            with in_tenant(tenant_by_slug(tenant)):
                found = search(query, limit=limit, filters=filters, explain=explain)
        except DomainError as error:
            raise CommandError(error.detail) from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), default=str, ensure_ascii=False, indent=2))
        else:
            _show(found, Console(soft_wrap=True))


def _show(found: SearchResponse, console: Console) -> None:
    if not found.results:
        console.print(f"Nothing found for “{found.query}”.", markup=False)
    for number, hit in enumerate(found.results, start=1):
        console.print(Text.assemble((f"{number:>2}. ", "dim"), (hit.title, "bold"), (f"  {hit.score:.3f}", "green")))
        if hit.chunk.heading_path:
            console.print(Text(f"    {' › '.join(hit.chunk.heading_path)}", style="cyan"))
        for highlight in hit.highlights:
            console.print(Text("    ").append_text(_marked(highlight)))
        console.print(Text(f"    {hit.source_uri} [{hit.chunk.start}–{hit.chunk.end}]", style="dim"))
        if hit.explanation is not None:
            console.print(Text(f"    {_reasons(hit)}", style="magenta"))
    for name, values in (("source", found.facets.source), ("type", found.facets.content_type)):
        if values:
            counts = " · ".join(f"{facet.label} {facet.count}" for facet in values[:8])
            console.print(Text(f"{name}: {counts}", style="dim"))
    console.print(
        Text(f"{len(found.results)} of {found.found} in {found.took_ms:.0f} ms, vectors: {found.vector_backend}", "dim")
    )


def _marked(highlight: Highlight) -> Text:
    text = Text(highlight.text)
    for start, end in highlight.marks:
        text.stylize("bold yellow", start, end)
    return Text(" ").join(text.split("\n")) if "\n" in highlight.text else text


def _reasons(hit: SearchHit) -> str:
    reasons = hit.explanation
    if reasons is None:
        return ""
    text = f"#{reasons.fts_rank} ({reasons.fts_score:.2f})" if reasons.fts_rank else "-"
    vector = f"#{reasons.vector_rank} ({reasons.vector_score:.3f})" if reasons.vector_rank else "-"
    return f"full text {text} · vector {vector} · rrf {reasons.rrf:.5f}"
