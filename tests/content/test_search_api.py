"""POST /v1/search and the conversations, through the whole Django stack."""

import secrets
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from apps.content.models import Conversation, Document, Message
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.services import create_api_key, create_tenant
from tests.content.indexed import index_text, make_source, normalised_text

WAL = """# Write-ahead logging

Every change is written to the log before it reaches the tables. After a crash the server replays the log.
"""


class Api:
    """A client with a key of one tenant."""

    def __init__(self, ref: TenantRef, *, name: str = "test") -> None:
        with in_tenant(ref):
            row, key = create_api_key(name, role="viewer")
        self.owner = f"key:{row.pk}"
        headers = {"Host": f"{ref.slug}.localhost", "Authorization": f"Bearer {key}"}
        self._client = Client(headers=headers, raise_request_exception=False)

    def search(self, **body: Any) -> tuple[int, Any]:
        reply = self._client.post("/v1/search", data=body, content_type="application/json")
        return reply.status_code, reply.json()

    def get(self, path: str) -> tuple[int, Any]:
        reply = self._client.get(path)
        return reply.status_code, reply.json()

    def delete(self, path: str) -> int:
        return self._client.delete(path).status_code


@pytest.fixture(scope="module")
def library() -> tuple[TenantRef, Document]:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    slug = f"api{secrets.token_hex(4)}"
    ref = create_tenant(slug, slug, domains=(f"{slug}.localhost",))
    with in_tenant(ref):
        return ref, index_text(make_source("manual"), WAL, uri="https://docs.example/wal")


def test_a_search_answers_with_everything_promised(library: tuple[TenantRef, Document]) -> None:
    ref, document = library
    status, reply = Api(ref).search(query="crash replays log", explain=True, filters={"source": ["manual"]})
    assert status == 200
    assert set(reply) == {"results", "facets", "found", "took_ms", "vector_backend"}
    [hit] = reply["results"]
    assert set(hit) == {
        "container_id", "document_id", "title", "source_uri", "deep_link", "score", "highlights", "chunk", "explanation",
    }  # fmt: skip
    assert hit["document_id"] == str(document.pk)
    assert hit["highlights"][0]["text"] == "After a crash the server replays the log."
    assert set(hit["chunk"]) == {"start", "end", "heading_path", "text"}
    assert set(hit["explanation"]) == {"fts_rank", "fts_score", "vector_rank", "vector_score", "rrf"}
    with in_tenant(ref):
        text = normalised_text(document.pk)
    assert text[hit["highlights"][0]["start"] : hit["highlights"][0]["end"]] == hit["highlights"][0]["text"]
    assert reply["facets"]["source"] == [{"value": str(document.source_id), "label": "manual", "count": 1}]
    assert "explanation" not in Api(ref).search(query="crash")[1]["results"][0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "validation_failed"),
        ({"query": ""}, "query_empty"),
        ({"query": " \n "}, "query_empty"),
        ({"query": "a" * 1001}, "query_too_long"),
        ({"query": "x", "limit": 51}, "validation_failed"),
        ({"query": "x", "limit": 0}, "validation_failed"),
        ({"query": "x", "tenant_id": "other"}, "field_unknown"),
        ({"query": "x", "filters": {"author": ["me"]}}, "field_unknown"),
        ({"query": "x", "filters": {"created_after": "yesterday"}}, "validation_failed"),
        ({"query": "nul \x00"}, "text_control_char"),
        ({"query": 7, "limit": "many"}, "validation_failed"),
    ],
)
def test_bad_searches_are_problems(body: dict[str, Any], code: str, library: tuple[TenantRef, Document]) -> None:
    status, reply = Api(library[0]).search(**body)
    assert (status, reply["code"]) == (422, code)


def test_conversations_are_read_and_deleted_by_their_own_principal_only(library: tuple[TenantRef, Document]) -> None:
    ref, _ = library
    ada, eve = Api(ref, name="ada"), Api(ref, name="eve")
    with in_tenant(ref):
        conversation = Conversation.objects.create(title="Logs", principal=ada.owner)
        Message.objects.create(conversation=conversation, role="user", content="Where?")
        Message.objects.create(conversation=conversation, role="assistant", content="Here.", mode="extractive")
    path = f"/v1/conversations/{conversation.pk}"
    assert [row["id"] for row in ada.get("/v1/conversations")[1]["results"]] == [str(conversation.pk)]
    status, shown = ada.get(path)
    assert status == 200
    assert [(turn["role"], turn["content"], turn["mode"]) for turn in shown["messages"]] == [
        ("user", "Where?", ""),
        ("assistant", "Here.", "extractive"),
    ]
    assert eve.get("/v1/conversations")[1]["results"] == []
    assert eve.get(path)[0] == 404
    assert eve.delete(path) == 404
    assert ada.get(path)[0] == 200
    assert ada.delete(path) == 204
    assert ada.get(path)[0] == 404
    assert ada.get(f"/v1/conversations/{uuid4()}")[0] == 404
