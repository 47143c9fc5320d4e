"""POST /v1/chat over a real socket: refusals first, then the stream."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from apps.content.models import Conversation, Message
from apps.core.tenancy import TenantRef, in_tenant
from tests.gateway.conftest import EventReader, LiveServer

Keys = Callable[..., str]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "json_invalid"),
        (b'{"message":"a","message":"b"}', 400, "json_duplicate_key"),
        (b"{}", 422, "validation_failed"),
        (b'{"message":"   "}', 422, "validation_failed"),
        (b'{"message":"a","model":"x"}', 422, "field_unknown"),
        (b'{"message":"a\\u0000"}', 422, "text_control_char"),
        (b'{"message":"a","conversation_id":"nope"}', 422, "validation_failed"),
        (b'{"message":"a","conversation_id":"01920000-0000-7000-8000-000000000000"}', 404, "not_found"),
        (b'{"message":"' + b"a" * 10_000 + b'"}', 422, "message_too_long"),
    ],
)
def test_refusals_are_problems_and_store_nothing(
    server: LiveServer, home: TenantRef, make_key: Keys, body: bytes, status: int, code: str
) -> None:
    with server.client(home, make_key(home), **{"Content-Type": "application/json"}) as client:
        reply = client.post("/v1/chat", content=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    with in_tenant(home):
        assert not Message.objects.exists()


def test_other_media_types_and_methods(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(home, make_key(home)) as client:
        form = client.post("/v1/chat", data={"message": "hi"})
        charset = client.post("/v1/chat", content=b"{}", headers={"Content-Type": "application/json; charset=latin-1"})
        get = client.get("/v1/chat")
    assert (form.status_code, charset.status_code) == (415, 415)
    assert (get.status_code, get.headers["allow"]) == (405, "POST")


def test_an_empty_corpus_is_answered_honestly(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    with server.client(tenant, make_key(tenant, role="viewer")) as client:
        with client.stream("POST", "/v1/chat", json={"message": "How do I restore a backup?"}) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            told = EventReader(response).rest()
        conversation = told[0].data["conversation_id"]
        again = client.post("/v1/chat", json={"message": "And then?", "conversation_id": conversation})
    assert told[0].event == "sources"
    assert told[0].data["sources"] == []
    assert told[-1].event == "done"
    assert told[-1].data["mode"] == "not_found"
    assert again.status_code == 200
    with in_tenant(tenant):
        roles = list(Message.objects.order_by("id").values_list("role", flat=True))
        assert roles == ["user", "assistant", "user", "assistant"]


def test_another_tenants_conversation_does_not_exist(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys
) -> None:
    a, b = two_tenants
    with in_tenant(a):
        theirs = Conversation.objects.create(title="canary", principal="key:test")
    with server.client(b, make_key(b)) as client:
        foreign = client.post("/v1/chat", json={"message": "hi", "conversation_id": str(theirs.pk)}).json()
        absent = client.post("/v1/chat", json={"message": "hi", "conversation_id": str(uuid4())}).json()
    for reply in (foreign, absent):
        del reply["trace_id"]
    assert {**foreign, "detail": ""} == {**absent, "detail": ""}
    assert foreign["status"] == 404
