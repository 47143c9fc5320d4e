"""Who sees which page, what a page shows of another tenant (nothing), and what a refused action changes (nothing)."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client

from apps.content.models import Document, IngestRun, Source
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.models import Role
from apps.tenants.services import add_member, create_user
from apps.vsm.services import observe_systems

MakeTenant = Callable[[], TenantRef]
PAGES = ("/", "/?q=canary", "/chat/", "/ingest/", "/vsm/")
PARTS = ("/ingest/runs/", "/ingest/sources/", "/ingest/documents/", "/vsm/picture/", "/vsm/episodes/")
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://x.localhost/ingest/?status=failed"}


@pytest.fixture(autouse=True, scope="module")
def _static_root() -> None:
    """WhiteNoise warns without it; `make up` fills it, tests only need it to be there."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


def client_for(ref: TenantRef, role: str = Role.OPERATOR) -> Client:
    """A browser signed in to `ref` as a new member with `role`."""
    email = f"{role}-{uuid4().hex[:8]}@example.org"
    client = Client(headers={"host": f"{ref.slug}.localhost"})
    user = create_user(email, "correct horse battery", name=email)
    add_member(ref, user, role)
    with in_tenant(ref):
        client.force_login(user)
    return client


def document_in(ref: TenantRef, name: str, *, status: str = "failed", state: str = "paused") -> Document:
    """A document of a source, all carrying `name`."""
    with in_tenant(ref):
        source, _ = Source.objects.get_or_create(
            uri=f"https://{name}.example",
            defaults={"kind": "web", "name": name, "state": state, "pause_reason": f"{name} failed"},
        )
        run = IngestRun.objects.create(source=source, origin=name, correlation_id=uuid4())
        return Document.objects.create(
            source=source, run=run, external_id=uuid4().hex, uri=f"https://{name}.example/a", title=name, status=status
        )


def text_of(client: Client, path: str) -> str:
    return client.get(path).content.decode()


@pytest.mark.parametrize("path", [*PAGES, *PARTS, f"/documents/{uuid4()}/"])
def test_strangers_are_sent_to_the_sign_in(tenant: TenantRef, path: str) -> None:
    client = Client(headers={"host": f"{tenant.slug}.localhost"})
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=/")
    part = client.get(path, headers=HTMX)
    assert (part.status_code, part.content) == (200, b"")
    assert part["HX-Redirect"].startswith("/login/?next=/")


@pytest.mark.parametrize("path", PAGES)
def test_every_role_sees_every_page_and_caches_none(tenant: TenantRef, path: str) -> None:
    for role in (Role.VIEWER, Role.EDITOR, Role.OPERATOR, Role.OWNER):
        answer = client_for(tenant, role).get(path)
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert ("/admin/" in answer.content.decode()) is (role in {Role.OPERATOR, Role.OWNER})


def test_pages_offer_what_the_role_may_do(tenant: TenantRef) -> None:
    document_in(tenant, "canary")
    offers = {}
    for role in (Role.VIEWER, Role.EDITOR, Role.OPERATOR):
        page = text_of(client_for(tenant, role), "/ingest/")
        offers[role] = ["upload-form" in page, "/remove/" in page, "/retry/" in page, "/resume/" in page]
    assert offers == {
        Role.VIEWER: [False, False, False, False],
        Role.EDITOR: [True, True, False, False],
        Role.OPERATOR: [True, True, True, True],
    }


def test_what_the_role_may_not_do_is_refused_and_changes_nothing(tenant: TenantRef) -> None:
    document = document_in(tenant, "canary")
    viewer, editor = client_for(tenant, Role.VIEWER), client_for(tenant, Role.EDITOR)
    assert viewer.post("/ingest/", {"url": "https://example.org/"}).status_code == 403
    assert viewer.post(f"/documents/{document.pk}/remove/", {"confirmed": "1"}).status_code == 403
    assert editor.post(f"/documents/{document.pk}/retry/").status_code == 403
    assert editor.post(f"/sources/{document.source_id}/resume/").status_code == 403
    with in_tenant(tenant):
        assert Document.objects.values_list("status", flat=True).get() == "failed"
        assert Source.objects.values_list("state", flat=True).get() == "paused"
        assert IngestRun.objects.count() == 1


def test_nothing_of_another_tenant_is_seen_or_touched(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    ours, theirs = two_tenants
    document = document_in(theirs, "canary")
    client = client_for(ours)
    for path in (*PAGES, *PARTS):
        assert "canary" not in text_of(client, path).replace('value="canary"', "").replace("“canary”", "").replace(
            "<title>canary", ""
        ).replace("q=canary", "")
    for path in (
        f"/documents/{document.pk}/",
        f"/ingest/?source={document.source_id}",
        f"/vsm/episodes/{uuid4()}/timeline/",
    ):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "canary" not in answer.content.decode()
    for path in (
        f"/documents/{document.pk}/remove/",
        f"/documents/{document.pk}/retry/",
        f"/sources/{document.source_id}/resume/",
    ):
        assert client.post(path, {"confirmed": "1"}, headers=HTMX).status_code == 404
    with in_tenant(theirs):
        assert Document.objects.values_list("status", flat=True).get() == "failed"
        assert Source.objects.values_list("state", flat=True).get() == "paused"


def test_a_session_opens_only_its_own_tenant(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    ours, theirs = two_tenants
    client = client_for(ours)
    assert client.get("/chat/").status_code == 200
    assert client.get("/chat/", headers={"host": f"{theirs.slug}.localhost"}).status_code == 302


def test_parts_are_parts_and_going_back_gets_the_page(tenant: TenantRef) -> None:
    client = client_for(tenant)
    part = client.get("/?q=word", headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert {"HX-Request", "Cookie"} <= set(re.split(r",\s*", part["Vary"]))
    assert (
        b"<html" in client.get("/?q=word", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}).content
    )
    assert client.get("/ingest/documents/?status=failed")["Location"] == "/ingest/?status=failed"


def test_documents_come_in_pages_and_by_state(tenant: TenantRef) -> None:
    for _ in range(52):
        document_in(tenant, "many", status="ready", state="active")
    failed = document_in(tenant, "broken")
    client = client_for(tenant)
    first = text_of(client, "/ingest/")
    assert first.count("data-document=") == 50
    older = re.search(r'href="(/ingest/\?before=[0-9a-f-]+)"', first)
    assert older
    assert text_of(client, older[1]).count("data-document=") == 3
    assert text_of(client, "/ingest/?status=failed").count(f'data-document="{failed.pk}"') == 1
    assert text_of(client, f"/ingest/?source={failed.source_id}").count("data-document=") == 1
    assert text_of(client, "/ingest/?status=nonsense&source=nonsense&before=nonsense").count("data-document=") == 50


def test_resuming_answers_with_the_part_that_asked(tenant: TenantRef) -> None:
    document = document_in(tenant, "canary", status="held")
    client = client_for(tenant)
    part = client.post(f"/sources/{document.source_id}/resume/", headers=HTMX)
    assert part.status_code == 200
    assert b"Active" in part.content
    assert b"Resume" not in part.content
    with in_tenant(tenant):
        assert Document.objects.values_list("status", flat=True).get() == "pending"
    again = client.post(f"/sources/{document.source_id}/resume/", {"view": "episodes"})
    assert (again.status_code, again["Location"]) == (302, "/vsm/")


def test_removing_without_scripts_asks_on_a_page(tenant: TenantRef) -> None:
    document = document_in(tenant, "canary")
    client = client_for(tenant)
    asked = client.post(f"/documents/{document.pk}/remove/")
    assert b"Remove this document?" in asked.content
    with in_tenant(tenant):
        assert Document.objects.values_list("status", flat=True).get() == "failed"
    assert client.post(f"/documents/{document.pk}/remove/", {"confirmed": "1"})["Location"] == "/ingest/"
    with in_tenant(tenant):
        assert Document.objects.values_list("status", flat=True).get() == "removed"
    assert client.get(f"/documents/{document.pk}/").status_code == 404


@pytest.mark.parametrize("url", ["", "not a url", "http://127.0.0.1/", "file:///etc/passwd"])
def test_a_refused_address_comes_back_in_its_field(tenant: TenantRef, url: str) -> None:
    answer = client_for(tenant).post("/ingest/", {"url": url})
    assert 400 <= answer.status_code < 500
    page = answer.content.decode()
    assert f'value="{url}" aria-invalid="true"' in page
    assert re.search(r'id="url-error"[^>]*>[^<]+<', page)
    with in_tenant(tenant):
        assert Document.objects.count() == 0


def test_figures_of_the_picture_open_rows_for_operators_and_content_for_others(tenant: TenantRef) -> None:
    document_in(tenant, "canary", status="ready", state="active")
    with in_tenant(tenant):
        observe_systems()
    operator, viewer = text_of(client_for(tenant), "/vsm/"), text_of(client_for(tenant, Role.VIEWER), "/vsm/")
    assert 'href="/admin/content/document/?status__exact=ready" aria-label="Documents ready: 1"' in operator
    assert 'href="/ingest/?status=ready" aria-label="Documents ready: 1"' in viewer
    assert "/admin/" not in viewer


def test_forms_need_their_token(tenant: TenantRef) -> None:
    document = document_in(tenant, "canary")
    client = client_for(tenant)
    strict = Client(enforce_csrf_checks=True, headers={"host": f"{tenant.slug}.localhost"})
    strict.cookies = client.cookies
    for path in ("/logout/", f"/documents/{document.pk}/remove/", f"/sources/{document.source_id}/resume/", "/ingest/"):
        assert strict.post(path, {"confirmed": "1"}).status_code == 403
    assert client.get("/chat/").status_code == 200
