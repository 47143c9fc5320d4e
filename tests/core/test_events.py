"""The event log: written with its cause, numbered without gaps, delivered in order and at least once."""

from collections.abc import Callable
from typing import ClassVar
from uuid import uuid4

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.core.correlation import correlation
from apps.core.events import Event, StoredEvent, TopicInvalid, parse_topics, publish, registered_events, subscriber
from apps.core.events.log import events_after, log_position
from apps.core.events.topics import topic_matches
from apps.core.models import Event as EventRow
from apps.core.models import EventCursor
from apps.core.relay import Relay
from apps.core.tenancy import NoTenant, TenantRef, in_tenant

received: list[StoredEvent] = []
fail_on: list[int] = []


class ThingTested(Event):
    """For these tests only."""

    name: ClassVar[str] = "thing.tested"
    number: int


@subscriber("tests.things", topics=("thing.*",))
def receive(event: StoredEvent) -> None:
    if event.payload["number"] in fail_on:
        raise ZeroDivisionError
    received.append(event)


def put(ref: TenantRef, *numbers: int) -> None:
    with in_tenant(ref), transaction.atomic():
        for number in numbers:
            publish(ThingTested(number=number))


def test_numbers_are_gapless_per_tenant_and_delivered_in_order(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    a, b = two_tenants
    relay = Relay()
    put(a, 1, 2)
    put(b, 100)
    relay.number_and_deliver()
    put(a, 3)
    relay.number_and_deliver()
    with in_tenant(a):
        assert [(e.seq, e.payload["number"]) for e in events_after(0) if e.name == "thing.tested"] == [
            (e.seq, n) for e, n in zip([e for e in events_after(0) if e.name == "thing.tested"], (1, 2, 3), strict=True)
        ]
        assert [e.seq for e in events_after(0)] == list(range(1, log_position().last_seq + 1))
        ids = {e.id for e in events_after(0)}
    with in_tenant(b):
        assert not ids & {e.id for e in events_after(0)}
        assert [e.payload["number"] for e in events_after(0) if e.name == "thing.tested"] == [100]
    mine = [e.payload["number"] for e in received if e.id in ids]
    assert mine == [1, 2, 3]


def test_a_rolled_back_change_leaves_no_event(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            publish(ThingTested(number=1))
            raise ZeroDivisionError
        assert not EventRow.objects.filter(name="thing.tested").exists()


def test_publishing_needs_a_tenant() -> None:
    with pytest.raises(NoTenant):
        publish(ThingTested(number=1))


def test_a_failing_handler_is_tried_again_and_order_holds(tenant: TenantRef) -> None:
    relay = Relay()
    fail_on.append(7)
    put(tenant, 7, 8)
    relay.number_and_deliver()
    with in_tenant(tenant):
        cursor = EventCursor.objects.get(subscriber="tests.things")
        assert cursor.failures == 1
        assert cursor.retry_at is not None
    fail_on.clear()
    with in_tenant(tenant):
        EventCursor.objects.filter(subscriber="tests.things").update(retry_at=None)
    relay.number_and_deliver()
    assert [e.payload["number"] for e in received][-2:] == [7, 8]


def test_events_carry_the_correlation_of_their_cause(tenant: TenantRef, drain: Callable[[TenantRef], int]) -> None:
    cause = uuid4()
    with in_tenant(tenant), correlation(cause):
        publish(ThingTested(number=5))
        assert EventRow.objects.get(name="thing.tested").correlation_id == cause


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(TypeError, match="taken"):

        class Impostor(Event):
            name: ClassVar[str] = "thing.tested"


def test_every_event_class_has_a_dotted_name_and_a_docstring() -> None:
    for name, cls in registered_events().items():
        assert name.count(".") >= 1, name
        assert cls.__doc__, name
        assert cls.model_config["extra"] == "forbid"


@pytest.mark.parametrize(
    "raw", ["", ",", "**", "a.**", "A.b", ".a", "a..b", "a b", ",".join(f"t{n}" for n in range(51))]
)
def test_bad_topics_are_refused(raw: str) -> None:
    with pytest.raises(TopicInvalid):
        parse_topics(raw)


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=2, max_size=4))
def test_patterns_match_what_they_cover(parts: list[str]) -> None:
    name = ".".join(parts)
    assert topic_matches("*", name)
    assert topic_matches(name, name)
    assert topic_matches(f"{parts[0]}.*", name)
    assert not topic_matches(f"{parts[0]}x.*", name)
