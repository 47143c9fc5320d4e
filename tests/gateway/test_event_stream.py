"""GET /v1/events over a real socket, fed by the real log."""

import time
from collections.abc import Callable
from typing import ClassVar

import pytest
from django.db import transaction

from apps.core.correlation import correlation
from apps.core.events import Event, publish
from apps.core.models import Event as EventRow
from apps.core.models import EventCounter
from apps.core.tenancy import TenantRef, in_system, in_tenant
from apps.tenants.models import ApiKey
from apps.tenants.services import revoke_api_key
from tests.gateway.conftest import EventReader, LiveServer, events, number, quick, running

Keys = Callable[..., str]


class GaugeMoved(Event):
    """Published by these tests only."""

    name: ClassVar[str] = "streamtest.moved"
    mark: int
    text: str = ""


class GaugeBroken(Event):
    """Published by these tests only."""

    name: ClassVar[str] = "streamtest.broken"
    mark: int


class OtherHappened(Event):
    """Published by these tests only."""

    name: ClassVar[str] = "streamtestother.happened"
    mark: int


def tell(ref: TenantRef, *told: Event) -> None:
    """Publish and number."""
    with in_tenant(ref), transaction.atomic():
        for event in told:
            publish(event)
    number()


def moved(*marks: int) -> list[Event]:
    return [GaugeMoved(mark=mark) for mark in marks]


def marks(reader: EventReader, count: int) -> list[int]:
    return [reader.next().data["mark"] for _ in range(count)]


def test_connected_comes_first_and_events_follow_flat(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(home, make_key(home)) as client, events(client, "?topics=streamtest.*") as stream:
        hello = stream.next()
        assert hello.event == "connected"
        assert hello.data["topics"] == ["streamtest.*"]
        assert hello.event_id == f"{hello.data['epoch']}-{hello.data['seq']}"
        with correlation() as cause:
            tell(home, GaugeMoved(mark=7, text="line\nbreak ü"))
        got = stream.next()
    assert got.event == "streamtest.moved"
    assert got.event_id == f"{hello.data['epoch']}-{hello.data['seq'] + 1}"
    assert (got.data["mark"], got.data["text"]) == (7, "line\nbreak ü")
    assert got.data["correlation_id"] == str(cause)
    assert set(got.data) == {"mark", "text", "timestamp", "event_id", "correlation_id"}


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ("*", [1, 2, 3, 4]),
        ("streamtest.*", [1, 2, 4]),
        ("streamtest.broken", [2]),
        ("streamtest.broken,streamtestother.happened", [2, 3]),
    ],
)
def test_topics_select(server: LiveServer, home: TenantRef, make_key: Keys, topics: str, expected: list[int]) -> None:
    with server.client(home, make_key(home)) as client, events(client, f"?topics={topics}") as stream:
        stream.next()
        tell(home, GaugeMoved(mark=1), GaugeBroken(mark=2), OtherHappened(mark=3), GaugeMoved(mark=4))
        assert marks(stream, len(expected)) == expected


@pytest.mark.parametrize(
    ("topics", "code"),
    [
        ("", "topic_invalid"),
        ("**", "topic_invalid"),
        ("a,,b", "topic_invalid"),
        ("A.b", "topic_invalid"),
        (",".join(f"a.b{n}" for n in range(1000)), "topics_too_many"),
    ],
)
def test_bad_topics_are_refused_before_the_stream(
    server: LiveServer, home: TenantRef, make_key: Keys, topics: str, code: str
) -> None:
    with server.client(home, make_key(home)) as client:
        reply = client.get("/v1/events", params={"topics": topics})
    assert (reply.status_code, reply.json()["code"]) == (400, code)


def test_other_methods_are_refused(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(home, make_key(home)) as client:
        reply = client.post("/v1/events", json={})
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("how", ["header", "parameter"])
def test_a_stream_goes_on_where_the_last_one_ended(
    server: LiveServer, home: TenantRef, make_key: Keys, how: str
) -> None:
    """Nothing is missing and nothing comes twice, whether it is in the ring or only in the log."""
    with server.client(home, make_key(home)) as client:
        with events(client) as stream:
            stream.next()
            tell(home, *moved(1, 2))
            assert marks(stream, 2) == [1, 2]
            last_id = stream.last_id
        tell(home, *moved(*range(3, 700)))
        query, headers = ("", {"Last-Event-ID": last_id}) if how == "header" else (f"?last_event_id={last_id}", {})
        with events(client, query, **headers) as stream:
            assert stream.next().event == "connected"
            assert marks(stream, 697) == list(range(3, 700))
            tell(home, *moved(700))
            assert marks(stream, 1) == [700]


def test_header_beats_parameter(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    tell(tenant, *moved(1, 2, 3))
    with server.client(tenant, make_key(tenant)) as client:
        with events(client) as stream:
            epoch = stream.next().data["epoch"]
        with events(client, f"?last_event_id={epoch}-0", **{"Last-Event-ID": f"{epoch}-2"}) as stream:
            stream.next()
            assert marks(stream, 1) == [3]


@pytest.mark.parametrize(
    ("last_id", "reason"),
    [
        ("garbage", "malformed"),
        ("{epoch}-", "malformed"),
        ("{epoch}--1", "malformed"),
        ("{epoch}-9223372036854775808000", "malformed"),
        ("deadbeef-1", "epoch_changed"),
        ("{foreign}-1", "epoch_changed"),
        ("{epoch}-999", "future"),
        ("{epoch}-1", "pruned"),
    ],
)
def test_a_gap_is_never_silent(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys, last_id: str, reason: str
) -> None:
    ref, other = two_tenants
    tell(ref, *moved(1, 2, 3, 4))
    with in_system("tests"):
        EventRow.objects.filter(tenant_id=ref.id, seq__lte=3).delete()
        epoch = EventCounter.objects.get(tenant_id=ref.id).epoch
        foreign = EventCounter.objects.get(tenant_id=other.id).epoch
    sent = last_id.format(epoch=epoch, foreign=foreign)
    with server.client(ref, make_key(ref)) as client, events(client, **{"Last-Event-ID": sent}) as stream:
        assert stream.next().event == "connected"
        reset = stream.next()
        assert (reset.event, reset.data["reason"], reset.data["seq"]) == ("reset", reason, 4)
        tell(ref, *moved(5))
        assert marks(stream, 1) == [5]


def test_the_oldest_event_still_held_can_be_asked_for(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    tell(tenant, *moved(1, 2, 3))
    with in_system("tests"):
        EventRow.objects.filter(tenant_id=tenant.id, seq__lte=2).delete()
        epoch = EventCounter.objects.get(tenant_id=tenant.id).epoch
    with server.client(tenant, make_key(tenant)) as client, events(client, **{"Last-Event-ID": f"{epoch}-2"}) as stream:
        stream.next()
        assert marks(stream, 1) == [3]


def test_a_stream_holds_its_own_tenant_only(
    server: LiveServer, two_tenants: tuple[TenantRef, TenantRef], make_key: Keys
) -> None:
    a, b = two_tenants
    with (
        server.client(a, make_key(a)) as a_client,
        server.client(b, make_key(b)) as b_client,
        events(a_client) as a_stream,
        events(b_client) as b_stream,
    ):
        a_stream.next(), b_stream.next()
        for mark in range(20):
            tell(a if mark % 2 else b, GaugeMoved(mark=mark))
        assert marks(a_stream, 10) == list(range(1, 20, 2))
        assert marks(b_stream, 10) == list(range(0, 20, 2))


def test_heartbeats_move_the_last_id_past_filtered_events(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(home, make_key(home)) as client, events(client, "?topics=streamtest.broken") as stream:
        seq = stream.next().data["seq"]
        tell(home, *moved(1, 2, 3))
        time.sleep(2)
        tell(home, GaugeBroken(mark=4))
        got = stream.next()
        assert stream.heartbeats >= 1
        assert got.data["mark"] == 4
        assert int(got.event_id.rpartition("-")[2]) == seq + 4


def test_a_revoked_key_ends_its_streams(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    with server.client(tenant, make_key(tenant)) as client, events(client) as stream:
        stream.next()
        with in_tenant(tenant):
            revoke_api_key(ApiKey.objects.get().pk)
        last = stream.rest()
    assert [(event.event, event.data) for event in last] == [("closed", {"reason": "unauthorized"})]


def test_a_client_that_leaves_is_forgotten(server: LiveServer, home: TenantRef, make_key: Keys) -> None:
    with server.client(home, make_key(home)) as client, events(client) as stream:
        stream.next()
        assert server.hub.stream_count >= 1
    until = time.monotonic() + 5
    while server.hub.stream_count and time.monotonic() < until:
        time.sleep(0.05)
    assert server.hub.stream_count == 0


def test_events_arrive_without_valkey(home: TenantRef, make_key: Keys) -> None:
    with (
        running(quick(), redis_url="unix:///nonexistent/valkey.sock") as server,
        server.client(home, make_key(home)) as client,
        events(client) as stream,
    ):
        stream.next()
        tell(home, *moved(1, 2))
        assert marks(stream, 2) == [1, 2]


def test_a_full_server_says_so(home: TenantRef, make_key: Keys) -> None:
    with (
        running(quick(max_streams=1), redis_url="unix:///nonexistent/valkey.sock") as server,
        server.client(home, make_key(home)) as client,
        events(client) as stream,
    ):
        stream.next()
        reply = client.get("/v1/events")
    assert (reply.status_code, reply.json()["code"]) == (503, "service_unavailable")
    assert reply.headers["retry-after"] == "5"


def test_draining_ends_streams_at_once(home: TenantRef, make_key: Keys) -> None:
    with (
        running(quick(), redis_url="unix:///nonexistent/valkey.sock") as server,
        server.client(home, make_key(home)) as client,
        events(client) as stream,
    ):
        stream.next()
        server.hub.drain()
        started = time.monotonic()
        assert [event.data for event in stream.rest()] == [{"reason": "shutdown"}]
        assert time.monotonic() - started < 2
        assert client.get("/v1/events").status_code == 503
