"""Every /v1 route, asked by one tenant for another's objects. The routes come from the API's own description."""

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps as django_apps
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from apps.content.models import Blob, Conversation, Document, IngestRun, Message, SemanticContainer, Source
from apps.core.ids import uuid7
from apps.core.models import Job, JobState
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.services import create_api_key, create_tenant
from apps.vsm.models import Episode, EpisodeStatus, Policy, Rule
from tests.gateway.conftest import LiveServer

NATIVE = {"/v1/events", "/v1/chat"}  # streams: tests/gateway/test_event_stream.py and test_chat.py
BODIES = {"/v1/sources/{source_id}/pause": {"reason": "test"}, "/v1/episodes/{episode_id}/resolve": {"resolution": "x"}}
# What the routes' own rules hide or leave out, even from its tenant.
WITHOUT_CANARY = {"/v1/systems"}


def routes() -> list[tuple[str, str]]:
    """Method and path of every bridged route."""
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]  # type: ignore[no-untyped-call]  # untyped library
    return [
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1/") and path not in NATIVE
    ]


ROUTES = routes()
ID_ROUTES = [(method, path) for method, path in ROUTES if "{" in path]
LIST_ROUTES = [path for method, path in ROUTES if method == "get" and "{" not in path]


def canary(ref: TenantRef) -> str:
    return f"canary-{ref.slug}"


def furnish(ref: TenantRef, *, owner: str) -> dict[str, UUID]:
    """One object of every kind, each marked with the tenant's canary; their ids by path parameter."""
    mark = canary(ref)
    with in_tenant(ref):
        source = Source.objects.create(kind="upload", name=mark, uri=f"upload:{mark}")
        run = IngestRun.objects.create(source=source, origin=mark, total=1, correlation_id=uuid7())
        blob = Blob.objects.create(
            content_hash=mark.ljust(64, "0")[:64],
            media_type="text/plain",
            artifact_path=mark,
            size_bytes=1,
            text=f"{mark} text",
            title=mark,
            state="indexed",
        )
        document = Document.objects.create(
            source=source, run=run, external_id=mark, uri=mark, title=mark, status="ready", stage="done", blob=blob
        )
        SemanticContainer.objects.create(document=document, title=mark, content_type="text/plain", provenance={})
        conversation = Conversation.objects.create(title=mark, principal=owner)
        Message.objects.create(conversation=conversation, role="user", content=mark)
        rule = Rule.objects.create(
            name=f"rule-{mark}", title=mark, pattern="a.b", group_by="x", window_s=60, threshold=3
        )
        episode = Episode.objects.create(
            title=mark,
            source_kind="source",
            subject_id=mark,
            rule=rule,
            correlation_id=uuid7(),
            window_from=timezone.now(),
            status=EpisodeStatus.DECIDED,
        )
        Policy.objects.create(name=mark, version=1, rules={})
        job = Job.objects.create(
            tenant_id=ref.id,
            queue="default",
            name=mark,
            state=JobState.SCHEDULED,
            scheduled_at=timezone.now() + timedelta(days=1),
            correlation_id=uuid7(),
        )
    return {
        "source_id": source.pk,
        "run_id": run.pk,
        "document_id": document.pk,
        "conversation_id": conversation.pk,
        "episode_id": episode.pk,
        "job_id": job.pk,
    }


def snapshot(ref: TenantRef) -> str:
    """Every row of the tenant's own tables, and its jobs."""
    with in_tenant(ref):
        rows: dict[str, list[dict[str, Any]]] = {
            model._meta.label: list(model._default_manager.order_by("pk").values())
            for label in ("content", "vsm", "storage", "intelligence")
            for model in django_apps.get_app_config(label).get_models()
        }
        rows["jobs"] = [dict(row) for row in Job.objects.filter(tenant_id=ref.id).order_by("pk").values()]
    return json.dumps(rows, cls=DjangoJSONEncoder, default=str)


@dataclass(frozen=True)
class Furnished:
    """A tenant with one object of every kind, and an owner's key to it."""

    ref: TenantRef
    ids: dict[str, UUID]
    key: str


@pytest.fixture(scope="module")
def pair(server: LiveServer) -> tuple[Furnished, Furnished]:
    """Two furnished tenants for the module: its tests change nothing in them, and prove it."""

    def make() -> Furnished:
        slug = f"i{secrets.token_hex(5)}"
        ref = create_tenant(slug, slug, domains=(f"{slug}.localhost",))
        with in_tenant(ref):
            row, key = create_api_key("test", role="owner")
        return Furnished(ref, furnish(ref, owner=f"key:{row.pk}"), key)

    return make(), make()


def test_every_id_route_names_an_object_made_here(pair: tuple[Furnished, Furnished]) -> None:
    """A new route with an id must bring its object to `furnish`."""
    assert ID_ROUTES
    for _, path in ID_ROUTES:
        assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= set(pair[0].ids), path


@pytest.mark.parametrize(("method", "path"), ID_ROUTES)
def test_another_tenants_object_does_not_exist(
    server: LiveServer, pair: tuple[Furnished, Furnished], method: str, path: str
) -> None:
    a, b = pair
    before = snapshot(a.ref)
    body = BODIES.get(path) if method == "post" else None
    absent = {name: uuid7() for name in a.ids}
    with server.client(b.ref, b.key) as client:
        foreign = client.request(method, path.format(**a.ids), json=body)
        nobody = client.request(method, path.format(**absent), json=body)
    assert (foreign.status_code, foreign.json()["code"]) == (404, nobody.json()["code"])
    assert nobody.status_code == 404
    assert canary(a.ref) not in foreign.text
    assert a.ref.slug not in str(foreign.headers)
    assert snapshot(a.ref) == before


@pytest.mark.parametrize("path", [path for method, path in ID_ROUTES if method == "get"])
def test_its_own_tenant_does_see_it(server: LiveServer, pair: tuple[Furnished, Furnished], path: str) -> None:
    """The control: without it the 404s above would prove nothing."""
    a, _ = pair
    with server.client(a.ref, a.key) as client:
        reply = client.get(path.format(**a.ids))
    assert reply.status_code == 200, reply.text
    assert canary(a.ref) in reply.text


@pytest.mark.parametrize("path", LIST_ROUTES)
def test_lists_hold_their_own_tenant_only(server: LiveServer, pair: tuple[Furnished, Furnished], path: str) -> None:
    for own, other in (pair, pair[::-1]):
        with server.client(own.ref, own.key) as client:
            reply = client.get(path)
        assert reply.status_code == 200
        assert canary(other.ref) not in reply.text
        if path not in WITHOUT_CANARY:
            assert canary(own.ref) in reply.text


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *(("get", path) for path in sorted(NATIVE))])
def test_a_key_opens_nothing_on_another_tenants_host(
    server: LiveServer, pair: tuple[Furnished, Furnished], method: str, path: str
) -> None:
    a, b = pair
    before = snapshot(a.ref)
    with server.client(b.ref, a.key) as client:
        reply = client.request(method, path.format(**a.ids), json=BODIES.get(path))
    expected = 405 if path == "/v1/chat" and method == "get" else 401
    assert reply.status_code == expected
    assert canary(a.ref) not in reply.text
    assert snapshot(a.ref) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_opens_without_a_key(
    server: LiveServer, pair: tuple[Furnished, Furnished], method: str, path: str
) -> None:
    a, _ = pair
    with server.client(a.ref) as client:
        reply = client.request(method, path.format(**a.ids), json=BODIES.get(path))
    assert (reply.status_code, reply.json()["code"]) == (401, "token_invalid")


def test_search_finds_its_own_tenants_text_only(server: LiveServer, pair: tuple[Furnished, Furnished]) -> None:
    a, b = pair
    with server.client(b.ref, b.key) as client:
        reply = client.post("/v1/search", json={"query": canary(a.ref), "explain": True})
    assert reply.status_code == 200, reply.text
    assert reply.json()["results"] == []
