"""Ingest, documents and sources over HTTP: what comes back, who may do what, and what is refused."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings

from apps.content.models import Document, IngestRun
from apps.core.tenancy import TenantRef, in_tenant
from apps.intelligence import ports
from apps.intelligence.conf import intelligence_settings
from apps.tenants.services import create_api_key
from tests.content.embedding import HashEmbedder

Drain = Callable[[TenantRef], int]


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(ports._embedders, intelligence_settings().embedding_model, HashEmbedder())
    with override_settings(EGRESS_ALLOW_CIDRS=()):
        yield


def api(ref: TenantRef, role: str = "operator") -> Client:
    with in_tenant(ref):
        _, key = create_api_key(f"test {role}", role=role)
    return Client(headers={"host": f"{ref.slug}.localhost", "authorization": f"Bearer {key}"})


def upload(client: Client, name: str, data: bytes, media_type: str) -> Any:
    return client.post("/v1/ingest", {"file": SimpleUploadedFile(name, data, content_type=media_type)})


def ingest(client: Client, body: Any) -> Any:
    return client.post("/v1/ingest", body, content_type="application/json")


def test_an_upload_is_accepted_followed_and_read(tenant: TenantRef, drain: Drain) -> None:
    client = api(tenant)
    answer = upload(client, "pumps.md", b"# Pumps\n\nA pump moves water.\n\n## Care\n\nOil it.\n", "text/markdown")
    assert answer.status_code == 202
    run_id, (document_id,) = answer.json()["run_id"], answer.json()["document_ids"]
    run = client.get(f"/v1/ingest/runs/{run_id}").json()
    assert (run["status"], run["source"], run["origin"]) == ("running", "Uploads", "pumps.md")
    assert run["progress"]["stages"] == {"extract": 1}
    assert (run["progress"]["percent"], run["progress"]["eta_s"]) == (0.0, None)
    drain(tenant)
    run = client.get(f"/v1/ingest/runs/{run_id}").json()
    assert (run["status"], run["progress"]["done"], run["progress"]["percent"]) == ("completed", 1, 100.0)
    document = client.get(f"/v1/documents/{document_id}").json()
    assert (document["title"], document["status"], document["stage"]) == ("Pumps", "ready", "done")
    content = client.get(f"/v1/documents/{document_id}/content").json()
    assert content["text"] == "Pumps\n\nA pump moves water.\n\nCare\n\nOil it."
    assert [content["text"][h["start"] :][: len(h["text"])] for h in content["headings"]] == ["Pumps", "Care"]
    listed = client.get("/v1/documents", {"status": "ready"}).json()
    assert [row["id"] for row in listed["results"]] == [document_id]
    assert client.get("/v1/documents", {"status": "failed"}).json()["results"] == []
    (source,) = client.get("/v1/sources").json()["results"]
    assert (source["kind"], source["documents_total"], source["documents_ready"]) == ("upload", 1, 1)
    assert [row["id"] for row in client.get("/v1/ingest/runs").json()["results"]] == [run_id]
    assert client.delete(f"/v1/documents/{document_id}").status_code == 204
    assert client.get(f"/v1/documents/{document_id}").status_code == 404
    assert client.get("/v1/documents").json()["results"] == []
    assert client.delete(f"/v1/documents/{document_id}").status_code == 404


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://169.254.169.254/", "url_forbidden_address"),
        ("http://2130706433/", "url_forbidden_address"),
        ("http://[64:ff9b::a9fe:a9fe]/", "url_forbidden_address"),
        ("file:///etc/passwd", "url_scheme_forbidden"),
        ("/etc/passwd", "url_scheme_forbidden"),
        ("http://example.com:25/", "url_port_forbidden"),
        ("http://a:b@example.com/", "url_userinfo_forbidden"),
    ],
)
def test_a_forbidden_url_is_refused_and_nothing_is_written(url: str, code: str, tenant: TenantRef) -> None:
    answer = ingest(api(tenant), {"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    with in_tenant(tenant):
        assert (IngestRun.objects.count(), Document.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    "body", [{}, {"url": ""}, {"path": "/etc/passwd"}, {"url": "http://example.com/", "tenant_id": "x"}, {"url": ["x"]}]
)
def test_a_body_that_is_not_what_it_should_be_is_422(body: Any, tenant: TenantRef) -> None:
    answer = ingest(api(tenant), body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    ("name", "data", "media_type", "status", "code"),
    [
        ("a.png", b"<!doctype html><p>x", "image/png", 422, "content_type_mismatch"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "image/png", 415, "unsupported_media_type"),
        ("a.txt", b"", "text/plain", 422, "document_empty"),
        ("é" * 200 + ".txt", b"hello", "text/plain", 422, "filename_invalid"),
    ],
)
def test_a_bad_file_is_refused_by_name(
    name: str, data: bytes, media_type: str, status: int, code: str, tenant: TenantRef
) -> None:
    answer = upload(api(tenant), name, data, media_type)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_roles(tenant: TenantRef) -> None:
    viewer, editor = api(tenant, "viewer"), api(tenant, "editor")
    assert ingest(viewer, {"url": "http://example.com/"}).status_code == 403
    answer = ingest(editor, {"url": "http://example.com/", "source": "Example"})
    assert answer.status_code == 202
    (document_id,) = answer.json()["document_ids"]
    (source,) = viewer.get("/v1/sources").json()["results"]
    assert source["name"] == "Example"
    assert viewer.delete(f"/v1/documents/{document_id}").status_code == 403
    assert editor.post(f"/v1/documents/{document_id}/retry").status_code == 403
    for action in ("pause", "resume"):
        answer = editor.post(f"/v1/sources/{source['id']}/{action}", {"reason": "x"}, content_type="application/json")
        assert answer.status_code == 403
    assert Client(headers={"host": f"{tenant.slug}.localhost"}).get("/v1/documents").status_code == 401


def test_an_operator_pauses_resumes_retries_and_cancels(tenant: TenantRef, drain: Drain) -> None:
    client = api(tenant)
    answer = ingest(client, {"url": "http://example.com/"}).json()
    (source,) = client.get("/v1/sources").json()["results"]
    pause = f"/v1/sources/{source['id']}/pause"
    paused = client.post(pause, {"reason": "maintenance"}, content_type="application/json").json()
    assert (paused["state"], paused["pause_reason"]) == ("paused", "maintenance")
    drain(tenant)
    assert client.get(f"/v1/ingest/runs/{answer['run_id']}").json()["progress"]["held"] == 1
    retry = client.post(f"/v1/documents/{answer['document_ids'][0]}/retry")
    assert (retry.status_code, retry.json()["code"]) == (409, "document_not_retryable")
    assert client.post(f"/v1/ingest/runs/{answer['run_id']}/cancel").json()["status"] == "cancelled"
    again = client.post(f"/v1/ingest/runs/{answer['run_id']}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run_finished")
    assert client.post(f"/v1/sources/{source['id']}/resume").json()["state"] == "active"
    retry = client.post(f"/v1/documents/{answer['document_ids'][0]}/retry")
    assert retry.status_code == 202
    assert UUID(retry.json()["job_id"])


def test_another_tenants_ids_are_unknown(two_tenants: tuple[TenantRef, TenantRef], drain: Drain) -> None:
    mine, other = two_tenants
    answer = upload(api(mine), "canary.txt", b"canary in the coal mine", "text/plain").json()
    drain(mine)
    (source,) = api(mine).get("/v1/sources").json()["results"]
    client = api(other)
    (document_id,) = answer["document_ids"]
    for path in (
        f"/v1/documents/{document_id}", f"/v1/documents/{document_id}/content", f"/v1/ingest/runs/{answer['run_id']}",
    ):  # fmt: skip
        found, unknown = client.get(path), client.get(path.replace(path.split("/")[-1], str(uuid4())))
        assert found.status_code == 404, path
        assert "canary" not in found.text
        assert unknown.status_code == 404
    assert client.delete(f"/v1/documents/{document_id}").status_code == 404
    for path in (
        f"/v1/documents/{document_id}/retry", f"/v1/sources/{source['id']}/resume",
        f"/v1/ingest/runs/{answer['run_id']}/cancel",
    ):  # fmt: skip
        assert client.post(path).status_code == 404, path
    for path in ("/v1/documents", "/v1/sources", "/v1/ingest/runs"):
        assert client.get(path).json()["results"] == []
    assert api(mine).get(f"/v1/documents/{document_id}").status_code == 200


@pytest.mark.parametrize("query", [{"status": "nonsense"}, {"source": "x"}, {"unknown": "1"}, {"status": "removed"}])
def test_filters_that_mean_nothing_are_422(query: dict[str, str], tenant: TenantRef) -> None:
    assert api(tenant, "viewer").get("/v1/documents", query).status_code == 422
