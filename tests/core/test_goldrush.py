"""Goldrush: the rule format, matching, and counting in the log."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.core.events import Event, StoredEvent, publish
from apps.core.goldrush import Condition, Operator, Rule, RuleInvalid, group_of, matches, parse_conditions, window_at
from apps.core.models import Event as EventRow
from apps.core.relay import Relay
from apps.core.tenancy import TenantRef, in_system, in_tenant


class Probed(Event):
    """Something for the rules of this module to watch."""

    name: ClassVar[str] = "goldrush_test.probed"
    subject: str
    size: int = 0


@dataclass(frozen=True)
class Seen:
    name: str
    payload: dict[str, Any] = field(default_factory=dict)


BASE: dict[str, Any] = {
    "name": "probe",
    "pattern": "goldrush_test.probed",
    "group_by": "subject",
    "window_s": 60,
    "threshold": 3,
}


def rule(**changes: Any) -> Rule:
    return Rule.parse(BASE | changes)


@pytest.mark.parametrize(
    ("op", "value", "actual", "expected"),
    [
        ("eq", "a", "a", True),
        ("eq", 1, True, False),
        ("eq", False, 0, False),
        ("eq", False, False, True),
        ("eq", 0, 0.0, True),
        ("ne", "a", "b", True),
        ("ne", "a", "a", False),
        ("lt", 5, 4, True),
        ("lt", 5, 5, False),
        ("lte", 5, 5, True),
        ("gt", 5, 5.5, True),
        ("gte", 5, 5, True),
        ("gte", 5, "6", False),
        ("gt", 0, True, False),
        ("in", ["a", "b"], "b", True),
        ("in", ["a", "b"], "c", False),
        ("not_in", ["a", "b"], "c", True),
        ("not_in", ["a"], "a", False),
        ("contains", "mid", "amidst", True),
        ("contains", "mid", ["mid"], False),
        ("starts_with", "http_5", "http_503", True),
        ("ends_with", "503", "http_503", True),
        ("ends_with", "504", "http_503", False),
    ],
)
def test_each_operator_compares_without_coercion(op: str, value: Any, actual: Any, expected: bool) -> None:
    (condition,) = parse_conditions([{"field": "x", "op": op, "value": value}])
    assert condition.holds({"x": actual}) is expected


@pytest.mark.parametrize("op", [op.value for op in Operator if op is not Operator.EXISTS])
def test_an_absent_or_null_field_satisfies_no_comparison(op: str) -> None:
    value: Any = ["a"] if op in {"in", "not_in"} else 1 if op in {"lt", "lte", "gt", "gte"} else "a"
    (condition,) = parse_conditions([{"field": "x.y", "op": op, "value": value}])
    payloads: list[dict[str, Any]] = [{}, {"x": {}}, {"x": None}, {"x": {"y": None}}, {"x": 3}]
    assert [condition.holds(payload) for payload in payloads] == [False] * 5


def test_exists_sees_presence_and_absence_at_a_dotted_path() -> None:
    present, absent = parse_conditions(
        [{"field": "a.b", "op": "exists"}, {"field": "a.b", "op": "exists", "value": False}]
    )
    assert (present.holds({"a": {"b": 0}}), absent.holds({"a": {"b": 0}})) == (True, False)
    assert (present.holds({"a": {}}), absent.holds({"a": {}})) == (False, True)


@pytest.mark.parametrize(
    "bad",
    [
        {"field": "x", "op": "matches", "value": ".*"},
        {"field": "x", "op": "EQ", "value": 1},
        {"field": "x", "op": "in", "value": "a"},
        {"field": "x", "op": "eq", "value": ["a"]},
        {"field": "x", "op": "gt", "value": "3"},
        {"field": "x", "op": "gt", "value": True},
        {"field": "x", "op": "contains", "value": 3},
        {"field": "x", "op": "exists", "value": 1},
        {"field": "__class__", "op": "exists"},
        {"field": "x..y", "op": "exists"},
        {"field": "x", "op": "eq", "value": 1, "else": True},
    ],
)
def test_an_unknown_operator_or_a_value_that_does_not_fit_is_an_error(bad: dict[str, Any]) -> None:
    with pytest.raises(RuleInvalid) as caught:
        parse_conditions([bad])
    assert caught.value.errors


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0},
        {"window_s": 0},
        {"cooldown_s": -1},
        {"pattern": "a.*.b"},
        {"pattern": "a.b,c.d"},
        {"pattern": ""},
        {"group_by": "A"},
        {"action": "exec"},
        {"name": "Has Spaces"},
    ],
)
def test_a_rule_outside_its_bounds_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RuleInvalid):
        rule(**change)


def test_a_rule_matches_on_topic_conditions_and_group() -> None:
    big = rule(pattern="goldrush_test.*", where=[{"field": "size", "op": "gte", "value": 10}])
    assert matches(big, Seen("goldrush_test.probed", {"subject": "s", "size": 10}))
    assert not matches(big, Seen("goldrush_test.probed", {"subject": "s", "size": 9}))
    assert not matches(big, Seen("other.probed", {"subject": "s", "size": 10}))
    assert not matches(big, Seen("goldrush_test.probed", {"size": 10}))


@pytest.mark.parametrize(
    ("value", "expected"), [("s", "s"), (7, "7"), ("", None), (None, None), (True, None), (1.5, None), ([1], None)]
)
def test_a_group_is_text_or_a_whole_number(value: Any, expected: str | None) -> None:
    assert group_of(rule(), {"subject": value}) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(Operator)), json_values, json_values)
def test_no_condition_that_parses_ever_raises(op: Operator, value: Any, payload: Any) -> None:
    try:
        (condition,) = parse_conditions([{"field": "x.y", "op": op.value, "value": value}])
    except RuleInvalid:
        return
    assert condition.holds({"x": {"y": payload}}) in {True, False}
    assert Condition.model_validate_json(condition.model_dump_json()) == condition


def last(ref: TenantRef) -> StoredEvent:
    with in_system("tests"):
        row = EventRow.objects.filter(tenant_id=ref.id, seq__isnull=False).order_by("-seq")[0]
        return StoredEvent(row.id, row.name, row.payload, row.correlation_id, row.occurred_at, row.seq or 0)


def emit(ref: TenantRef, subject: str, *, size: int = 0, age_s: float = 0) -> StoredEvent:
    with in_tenant(ref):
        event_id = publish(Probed(subject=subject, size=size))
    with in_system("tests"):
        if age_s:
            EventRow.objects.filter(pk=event_id).update(occurred_at=timezone.now() - timedelta(seconds=age_s))
    Relay().number_and_deliver()
    return last(ref)


def counted(ref: TenantRef, event: StoredEvent, watching: Rule, **options: Any) -> tuple[UUID, ...]:
    with in_tenant(ref):
        window = window_at(watching, event, **options)
    assert window is not None
    return window.event_ids


def test_the_window_counts_one_group_and_forgets_what_is_too_old(tenant: TenantRef) -> None:
    emit(tenant, "a", age_s=61)
    first = emit(tenant, "a", age_s=50)
    emit(tenant, "b", age_s=40)
    second = emit(tenant, "a", age_s=20)
    third = emit(tenant, "a")
    assert counted(tenant, third, rule(threshold=10)) == (first.id, second.id, third.id)


def test_a_redelivered_event_sees_the_window_of_its_own_moment(tenant: TenantRef) -> None:
    first = emit(tenant, "a", age_s=3)
    second = emit(tenant, "a", age_s=2)
    before = counted(tenant, second, rule())
    emit(tenant, "a", age_s=1)
    assert counted(tenant, second, rule()) == before == (first.id, second.id)


def test_the_count_stops_at_the_threshold_with_the_newest_events(tenant: TenantRef) -> None:
    ids = [emit(tenant, "a", age_s=10 - index).id for index in range(5)]
    assert counted(tenant, last(tenant), rule(threshold=3)) == tuple(ids[-3:])


def test_conditions_hold_for_every_event_in_the_window(tenant: TenantRef) -> None:
    watching = rule(where=[{"field": "size", "op": "gt", "value": 5}], threshold=10)
    big = emit(tenant, "a", size=9, age_s=3)
    small = emit(tenant, "a", size=1, age_s=2)
    newest = emit(tenant, "a", size=7)
    assert counted(tenant, newest, watching) == (big.id, newest.id)
    with in_tenant(tenant):
        assert window_at(watching, small) is None


def test_what_was_settled_does_not_count_again(tenant: TenantRef) -> None:
    emit(tenant, "a", age_s=30)
    emit(tenant, "a", age_s=20)
    newest = emit(tenant, "a")
    floor = timezone.now() - timedelta(seconds=10)
    assert counted(tenant, newest, rule(), floor=floor) == (newest.id,)


def test_one_tenants_events_are_not_in_anothers_window(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, other = two_tenants
    shared = str(uuid4())
    emit(other, shared, age_s=2)
    emit(other, shared, age_s=1)
    event = emit(one, shared)
    assert counted(one, event, rule()) == (event.id,)
