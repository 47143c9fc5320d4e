"""Every /v1 route, asked by one tenant for another's objects. The routes come from the API's own description."""

import json
from collections.abc import Callable
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
from apps.vsm.models import Episode, EpisodeStatus, Policy, Rule
from tests.gateway.conftest import LiveServer

Keys = Callable[..., str]
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


def furnish(ref: TenantRef) -> dict[str, UUID]:
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
        conversation = Conversation.objects.create(title=mark, principal="key:test")
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
        rows["jobs"] = list(Job.objects.filter(tenant_id=ref.id).order_by("pk").values())
    return json.dumps(rows, cls=DjangoJSONEncoder, default=str)


def test_every_id_route_names_an_object_made_here(tenant: TenantRef) -> None:
    """A new route with an id must bring its object to `furnish`."""
    known = set(furnish(tenant))
    assert ID_ROUTES
    for _, path in ID_ROUTES:
        assert {part[1:-1] for part in path.split("/") if part.startswith("{")} <= known, path


@pytest.mark.parametrize(("method", "path"), ID_ROUTES)
def test_another_tenants_object_does_not_exist(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys, method: str, path: str
) -> None:
    a, b = two_tenants
    ids = furnish(a)
    before = snapshot(a)
    body = BODIES.get(path) if method == "post" else None
    absent = {name: uuid7() for name in ids}
    with server.client(b, make_key(b, role="owner")) as client:
        foreign = client.request(method, path.format(**ids), json=body)
        nobody = client.request(method, path.format(**absent), json=body)
    assert (foreign.status_code, foreign.json()["code"]) == (404, nobody.json()["code"])
    assert nobody.status_code == 404
    assert canary(a) not in foreign.text
    assert a.slug not in str(foreign.headers)
    assert snapshot(a) == before


@pytest.mark.parametrize("path", [path for method, path in ID_ROUTES if method == "get"])
def test_its_own_tenant_does_see_it(server: LiveServer, tenant: TenantRef, make_key: Keys, path: str) -> None:
    """The control: without it the 404s above would prove nothing."""
    ids = furnish(tenant)
    with server.client(tenant, make_key(tenant, role="viewer")) as client:
        reply = client.get(path.format(**ids))
    assert reply.status_code == 200, reply.text
    assert canary(tenant) in reply.text


@pytest.mark.parametrize("path", LIST_ROUTES)
def test_lists_hold_their_own_tenant_only(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys, path: str
) -> None:
    a, b = two_tenants
    furnish(a), furnish(b)
    with server.client(a, make_key(a)) as a_client, server.client(b, make_key(b)) as b_client:
        a_reply, b_reply = a_client.get(path), b_client.get(path)
    assert (a_reply.status_code, b_reply.status_code) == (200, 200)
    assert canary(b) not in a_reply.text
    assert canary(a) not in b_reply.text
    if path not in WITHOUT_CANARY:
        assert canary(a) in a_reply.text
        assert canary(b) in b_reply.text


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *(("get", path) for path in sorted(NATIVE))])
def test_a_key_opens_nothing_on_another_tenants_host(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys, method: str, path: str
) -> None:
    a, b = two_tenants
    ids = furnish(a)
    before = snapshot(a)
    with server.client(b, make_key(a, role="owner")) as client:
        reply = client.request(method, path.format(**ids), json=BODIES.get(path))
    expected = 405 if path == "/v1/chat" and method == "get" else 401
    assert reply.status_code == expected
    assert canary(a) not in reply.text
    assert snapshot(a) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_opens_without_a_key(server: LiveServer, tenant: TenantRef, method: str, path: str) -> None:
    ids = furnish(tenant)
    with server.client(tenant) as client:
        reply = client.request(method, path.format(**ids), json=BODIES.get(path))
    assert (reply.status_code, reply.json()["code"]) == (401, "token_invalid")


def test_search_finds_its_own_tenants_text_only(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys
) -> None:
    a, b = two_tenants
    furnish(a)
    with server.client(b, make_key(b)) as client:
        reply = client.post("/v1/search", json={"query": canary(a), "explain": True})
    assert reply.status_code == 200, reply.text
    assert reply.json()["results"] == []
