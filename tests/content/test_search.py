"""Search over real PostgreSQL full text and real vectors."""

import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from apps.capabilities.conf import llm_settings
from apps.content.errors import LimitRefused, QueryEmpty, QueryInvalid, QueryTooLong
from apps.content.models import Chunk, Document, SemanticContainer
from apps.content.retrieval_conf import retrieval_settings
from apps.content.selectors import search as selectors
from apps.content.selectors.search import SearchFilters, lexemes_of_query, selecting_lexemes
from apps.content.services.documents import remove_document
from apps.content.services.search import search
from apps.core.tenancy import TenantRef, current_tenant, in_tenant
from apps.intelligence.conf import BUNDLED_MODEL, intelligence_settings
from apps.tenants.services import create_tenant
from tests.content.indexed import index_text, make_source, normalised_text

pytestmark = pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class:UserWarning")

WAL = """# Write-ahead logging

Every change is written to the log before it reaches the tables. After a crash the server replays the log.

## Archiving

Completed segments can be copied to a safe place. A base backup and the archived segments restore any moment.
"""
BREAD = """# Sourdough

Feed the starter with flour and water. Bake the loaf for forty minutes in a hot oven.
"""
VACUUM = """# Routine vacuuming

Dead rows take space until a vacuum removes them. The background process called autovacuum does it unasked.
"""
FACTS = [f"# Note {n}\n\nNumber {n} is about planets and the moons of planet {n}." for n in range(12)]


def fill() -> dict[str, Document]:
    """The library, in the tenant in force."""
    manual, kitchen = make_source("manual"), make_source("kitchen")
    documents = {
        "wal": index_text(manual, WAL, uri="https://docs.example/wal.html"),
        "vacuum": index_text(manual, VACUUM),
        "bread": index_text(kitchen, BREAD, media_type="text/plain"),
    }
    for fact in FACTS:
        index_text(kitchen, fact)
    return documents


@pytest.fixture(scope="module")
def filled() -> tuple[TenantRef, dict[str, Document]]:
    slug = f"library{secrets.token_hex(4)}"
    tenant = create_tenant(slug, slug)
    with in_tenant(tenant):
        return tenant, fill()


@pytest.fixture
def library(filled: tuple[TenantRef, dict[str, Document]]) -> Iterator[dict[str, Document]]:
    """The library, only to be read."""
    with in_tenant(filled[0]):
        yield filled[1]


@pytest.fixture
def own_library(in_new_tenant: TenantRef) -> dict[str, Document]:
    """A library of the test's own, to change."""
    return fill()


def found(query: str, **options: Any) -> list[Any]:
    return [hit.document_id for hit in search(query, **options).results]


def test_the_best_container_comes_first_with_exact_offsets_and_a_link_to_the_sentence(
    library: dict[str, Document],
) -> None:
    response = search("archived segments base backup", limit=3, explain=True)
    best = response.results[0]
    text = normalised_text(best.document_id)
    assert best.document_id == library["wal"].pk
    assert best.container_id == SemanticContainer.objects.get(document=library["wal"]).pk
    assert (best.title, best.source_uri) == ("Write-ahead logging", "https://docs.example/wal.html")
    assert [highlight.text for highlight in best.highlights] == [
        "A base backup and the archived segments restore any moment."
    ]
    assert [text[h.start : h.end] for h in best.highlights] == [h.text for h in best.highlights]
    assert [best.highlights[0].text[a:b] for a, b in best.highlights[0].marks] == [
        "base", "backup", "archived", "segments",
    ]  # fmt: skip
    assert text[best.chunk.start : best.chunk.end] == best.chunk.text
    assert best.deep_link.startswith("https://docs.example/wal.html#:~:text=A%20base%20backup%20and%20the%20archived")
    assert best.explanation is not None
    assert (best.explanation.fts_rank, best.explanation.vector_rank) == (1, 1)
    assert best.score == pytest.approx(1.0)
    assert best.explanation.rrf == pytest.approx(2 / 61)
    assert response.took_ms > 0
    assert response.vector_backend in {"hnswlib", "pgvector"}


def test_meaning_finds_what_words_do_not(library: dict[str, Document]) -> None:
    response = search("recover data following a failure", limit=1, explain=True)
    assert response.results[0].document_id == library["wal"].pk
    assert response.results[0].explanation is not None
    assert response.results[0].explanation.vector_rank == 1


def test_without_the_embedding_model_full_text_goes_on(library: dict[str, Document], settings: Any) -> None:
    settings.EMBEDDING_MODEL = "litellm:openai/x-embed"
    settings.LLM_API_BASE = "http://127.0.0.1:9/v1"
    intelligence_settings.cache_clear()
    llm_settings.cache_clear()
    try:
        response = search("archived segments base backup", limit=1, explain=True)
    finally:
        settings.EMBEDDING_MODEL = BUNDLED_MODEL
        settings.LLM_API_BASE = ""
        intelligence_settings.cache_clear()
        llm_settings.cache_clear()
    assert response.vector_backend == "unavailable"
    assert response.results[0].document_id == library["wal"].pk
    assert response.results[0].explanation is not None
    assert (response.results[0].explanation.fts_rank, response.results[0].explanation.vector_rank) == (1, None)


def test_stop_words_alone_and_words_nobody_wrote_still_ask_the_vector_leg(library: dict[str, Document]) -> None:
    response = search("who is it", limit=2, explain=True)
    assert len(response.results) == 2
    assert {hit.explanation.fts_rank for hit in response.results if hit.explanation} == {None}
    assert found("zzzqqqxxx", limit=1)


def test_rare_words_weigh_more_than_common_ones(library: dict[str, Document]) -> None:
    lexemes = {lexeme.text: lexeme for lexeme in lexemes_of_query("planets and autovacuum")}
    assert (lexemes["planet"].df, lexemes["autovacuum"].df) == (12, 1)
    assert lexemes["autovacuum"].idf > 3 * lexemes["planet"].idf
    assert found("planets planets planets autovacuum", limit=1) == [library["vacuum"].pk]


def test_words_of_most_chunks_do_not_choose_rows_unless_there_is_nothing_else(library: dict[str, Document]) -> None:
    total = selectors.chunk_total()
    mixed = lexemes_of_query("planet autovacuum")
    assert [lexeme.text for lexeme in selecting_lexemes(mixed, total=total)] == ["autovacuum"]
    common = lexemes_of_query("planet moon")
    assert [lexeme.text for lexeme in selecting_lexemes(common, total=total)] == ["moon", "planet"]


def test_filters_hold_in_both_legs_and_lose_nothing(library: dict[str, Document], monkeypatch: Any) -> None:
    """The vector leg's nearest are all elsewhere, so it searches exactly among what the filter allows."""
    query = "the moons of planet number three"
    monkeypatch.setattr(
        "apps.content.services.retrieval.retrieval_settings",
        lambda: selectors_settings(vector_candidates=3),
    )
    assert library["wal"].pk not in found(query, limit=3)
    only_manual = search(query, filters=SearchFilters(source=("manual",)), explain=True)
    assert {hit.document_id for hit in only_manual.results} == {library["wal"].pk, library["vacuum"].pk}
    assert all(hit.explanation and hit.explanation.vector_rank for hit in only_manual.results)
    by_id = SearchFilters(source=(str(library["wal"].source_id),))
    assert {hit.document_id for hit in search(query, filters=by_id).results} == {
        library["wal"].pk,
        library["vacuum"].pk,
    }


def selectors_settings(**changes: Any) -> Any:
    return replace(retrieval_settings(), **changes)


def test_filters_by_type_and_time(library: dict[str, Document]) -> None:
    now = datetime.now(UTC)
    assert found("anything", filters=SearchFilters(content_type=("text/plain",))) == [library["bread"].pk]
    assert found("anything", filters=SearchFilters(created_after=now + timedelta(hours=1))) == []
    assert found("anything", filters=SearchFilters(created_before=now - timedelta(hours=1))) == []
    assert found("anything", filters=SearchFilters(source=("no such source",))) == []
    assert len(found("anything", limit=50, filters=SearchFilters(created_before=now + timedelta(hours=1)))) == 15


def test_facets_count_everything_found_not_only_what_is_shown(library: dict[str, Document]) -> None:
    response = search("planet", limit=1)
    assert len(response.results) == 1
    assert response.found == 15
    assert [(facet.label, facet.count) for facet in response.facets.source] == [("kitchen", 13), ("manual", 2)]
    assert [(facet.value, facet.count) for facet in response.facets.content_type] == [
        ("text/markdown", 14),
        ("text/plain", 1),
    ]


def test_equal_content_in_two_sources_is_two_containers_and_one_vector_set(own_library: dict[str, Document]) -> None:
    chunks = Chunk.objects.count()
    again = index_text(make_source("mirror"), WAL)
    assert Chunk.objects.count() == chunks
    response = search("archived segments base backup", limit=2)
    assert [hit.document_id for hit in response.results] == [own_library["wal"].pk, again.pk]
    assert response.results[0].score == response.results[1].score


def test_a_removed_document_leaves_at_once_and_its_twin_stays(own_library: dict[str, Document]) -> None:
    twin = index_text(make_source("mirror"), WAL)
    remove_document(own_library["wal"].pk, reason="test")
    assert found("archived segments base backup", limit=1) == [twin.pk]
    SemanticContainer.objects.filter(document=twin).update(active=False)
    assert twin.pk not in found("archived segments base backup", limit=50)


def test_a_document_that_is_being_refreshed_is_still_found(own_library: dict[str, Document]) -> None:
    Document.objects.filter(pk=own_library["wal"].pk).update(status=Document.Status.PROCESSING)
    assert found("archived segments base backup", limit=1) == [own_library["wal"].pk]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", QueryEmpty),
        (" \n\t ", QueryEmpty),
        ("a" * 1001, QueryTooLong),
        ("nul \x00 byte", QueryInvalid),
        ("bell \x07", QueryInvalid),
        ("half \ud800 pair", QueryInvalid),
    ],
)
def test_queries_that_cannot_be_asked(query: str, error: type[Exception], in_new_tenant: TenantRef) -> None:
    with pytest.raises(error):
        search(query)


@pytest.mark.parametrize("limit", [0, -1, 51])
def test_limits_out_of_range(limit: int, in_new_tenant: TenantRef) -> None:
    with pytest.raises(LimitRefused):
        search("x", limit=limit)


@pytest.mark.parametrize(
    "query",
    [
        "it's a 'quote' \\ back",
        "a & b | !c:* <-> (d",
        "'; DROP TABLE content_chunk; --",
        "%s %(x)s {0}",
        "日本語 🦘",
        "a" * 1000,
    ],
)
def test_odd_queries_are_only_text(query: str, library: dict[str, Document]) -> None:
    assert len(search(query, limit=5).results) == 5
    assert Chunk.objects.count() >= 15


def test_an_empty_tenant_finds_nothing(in_new_tenant: TenantRef) -> None:
    response = search("anything at all")
    assert (response.results, response.found, response.facets.source) == ((), 0, ())


def test_few_statements(library: dict[str, Document]) -> None:
    selectors.forget_frequencies()
    with CaptureQueriesContext(connections["default"]) as cold:
        search("archived segments", limit=10)
    with CaptureQueriesContext(connections["default"]) as warm:
        search("archived segments", limit=10)
    own = [query["sql"] for query in warm.captured_queries if "intelligence_embedding" not in query["sql"]]
    assert len([query for query in cold.captured_queries if "intelligence_embedding" not in query["sql"]]) <= 5
    assert len(own) <= 4


def test_two_tenants_see_their_own(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, other = two_tenants
    with in_tenant(one):
        index_text(make_source("a"), "# Canary\n\nThe quokka canary of the first tenant.")
    with in_tenant(other):
        mine = index_text(make_source("b"), "# Mine\n\nNothing but trains and stations.")
        response = search("quokka canary of the first tenant", limit=50)
        assert [hit.document_id for hit in response.results] == [mine.pk]
        assert "quokka" not in repr(response).replace(response.query, "")


def test_the_command_prints_hits_and_json(library: dict[str, Document], capsys: Any) -> None:
    tenant = current_tenant()
    call_command("search", "archived segments base backup", tenant=tenant.slug, limit=1, explain=True)
    shown = capsys.readouterr().out
    assert "Write-ahead logging" in shown
    assert "archived segments restore" in shown
    assert "full text #1" in shown
    out = StringIO()
    call_command("search", "sourdough", tenant=tenant.slug, json=True, stdout=out)
    assert json.loads(out.getvalue())["results"][0]["document_id"] == str(library["bread"].pk)
    with pytest.raises(CommandError, match="Write what to look for"):
        call_command("search", " ", tenant=tenant.slug)
