"""Who may come in, by which host, with which key or cookie."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.models import ApiKey
from apps.tenants.services import add_member, create_api_key, create_user, revoke_api_key
from tests.gateway.conftest import LiveServer

Keys = Callable[..., str]
ROUTES = ["/v1/jobs", "/v1/events"]


def refused(reply: httpx.Response) -> dict[str, object]:
    """The parts of a 401 that may not differ between causes."""
    body = reply.json()
    assert (reply.status_code, body["code"]) == (401, "token_invalid")
    assert reply.headers["www-authenticate"] == 'Bearer realm="cybernetic"'
    del body["trace_id"]
    return dict(body)


@pytest.mark.parametrize("route", ROUTES)
def test_every_bad_credential_gets_the_same_answer(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys, route: str
) -> None:
    a, b = two_tenants
    good = make_key(a)
    with in_tenant(a):
        revoked, revoked_key = create_api_key("revoked")
        revoke_api_key(revoked.id)
        expired_key = create_api_key("expired", expires_at=timezone.now() - timedelta(seconds=1))[1]
    answers = []
    for key in ("", "x", "cyb_", "cyb_a_b", good + "x", good[:-1], revoked_key, expired_key, make_key(b)):
        with server.client(a, key) as client:
            answers.append(refused(client.get(route)))
    with server.client(a, Authorization="Basic dXNlcjpwYXNz") as client:
        answers.append(refused(client.get(route)))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("spelling", ["{}.localhost", "{}.LOCALHOST", "{}.localhost.", "{}.localhost.:80"])
def test_host_is_normalised(server: LiveServer, home: TenantRef, make_key: Keys, spelling: str) -> None:
    with server.client(key=make_key(home), Host=spelling.format(home.slug)) as client:
        assert client.get("/v1/jobs").status_code == 200


def test_unregistered_host_leaves_it_to_the_key(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(key=make_key(home), Host="unregistered.example") as client:
        assert client.get("/v1/jobs").status_code == 200
    with server.client(Host="unregistered.example") as client:
        reply = client.get("/v1/jobs")
    assert (reply.status_code, reply.json()["code"]) == (404, "host_unknown")


def test_health_needs_no_tenant(server: LiveServer) -> None:
    with server.client(Host="unregistered.example") as client:
        assert client.get("/health/live").json() == {"status": "ok"}
        assert client.get("/health/ready").json()["checks"]["postgresql"]["status"] == "ok"


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("operator", 404), ("owner", 404)])
def test_roles_decide_before_the_object_is_looked_for(
    server: LiveServer, home: TenantRef, make_key: Keys, role: str, status: int
) -> None:
    with server.client(home, make_key(home, role=role)) as client:
        assert client.get("/v1/jobs").status_code == 200
        reply = client.post("/v1/jobs/01920000-0000-7000-8000-000000000000/retry")
    assert reply.status_code == status


@contextmanager
def signed_in(server: LiveServer, ref: TenantRef, *, role: str = "operator") -> Iterator[httpx.Client]:
    """A browser that has signed in to `ref`."""
    email = f"{ref.slug}@example.org"
    add_member(ref, create_user(email, "a long password"), role)
    with server.client(ref) as client:
        client.get("/login/")
        client.headers["X-CSRFToken"] = client.cookies["cybernetic_csrf"]
        reply = client.post("/login/", data={"username": email, "password": "a long password"})
        assert reply.status_code == 302, reply.text
        client.headers["X-CSRFToken"] = client.cookies["cybernetic_csrf"]
        yield client


def test_session_reads_and_writes_with_its_token_only(server: LiveServer, tenant: TenantRef) -> None:
    with signed_in(server, tenant) as client:
        assert client.get("/v1/jobs").status_code == 200
        allowed = client.post("/v1/search", json={})
        native = client.post("/v1/chat", json={})
        del client.headers["X-CSRFToken"]
        bridged_without = client.post("/v1/search", json={})
        native_without = client.post("/v1/chat", json={})
        foreign = client.post(
            "/v1/chat",
            json={},
            headers={"Origin": "http://evil.example", "X-CSRFToken": client.cookies["cybernetic_csrf"]},
        )
    assert (allowed.status_code, native.status_code) == (422, 422)
    for reply in (bridged_without, native_without, foreign):
        assert (reply.status_code, reply.json()["code"]) == (403, "csrf_failed")


@pytest.mark.parametrize("route", ROUTES)
def test_session_of_one_tenant_is_nobody_at_another(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], route: str
) -> None:
    a, b = two_tenants
    with signed_in(server, a) as client:
        assert refused(client.get(route, headers={"Host": f"{b.slug}.localhost:{server.port}"}))


def test_key_use_is_noted(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    with server.client(tenant, make_key(tenant)) as client:
        client.get("/v1/jobs")
    with in_tenant(tenant):
        assert ApiKey.objects.get().last_used_at is not None
