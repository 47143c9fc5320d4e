"""Policies: closed conditions, default deny, nothing fails open, the same bytes for the same input."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.vsm.errors import PolicyInvalid
from apps.vsm.policies import DecisionInput, PolicyText, canonical_bytes, digest, evaluate, parse_rules
from apps.vsm.rules import SHIPPED_POLICIES


def seen(**changes: Any) -> DecisionInput:
    facts: dict[str, Any] = {
        "episode": {
            "id": UUID(int=7),
            "rule": "repeated-fetch-failures",
            "rule_version": 1,
            "subject_kind": "source",
            "subject_id": str(UUID(int=9)),
            "risk_level": "high",
            "analysis_method": "statistical",
        },
        "evidence": {
            "failures": 3,
            "successes": 0,
            "consecutive_failures": 3,
            "failure_share": 1.0,
            "failures_per_minute": 3.0,
            "span_s": 4.2,
        },
        "history": {"episodes_last_day": 0, "interventions_last_day": 0},
    }
    for key, value in changes.items():
        section, _, name = key.partition("__")
        facts[section][name] = value
    return DecisionInput.model_validate(facts)


def text(rules: dict[str, Any], *, name: str = "p", version: int = 1, priority: int = 0) -> PolicyText:
    return PolicyText(id=f"id-{name}", name=name, version=version, priority=priority, rules=rules)


def allow(action: str = "pause_source", **condition: Any) -> dict[str, Any]:
    return {
        "conditions": [condition or {"type": "failures_at_least", "count": 1}],
        "outcome": "allow",
        "action": action,
    }


def deny(**condition: Any) -> dict[str, Any]:
    return {"conditions": [condition or {"type": "failures_at_least", "count": 1}], "outcome": "deny"}


SHIPPED = text(SHIPPED_POLICIES[0].rules, name="pause-failing-source", priority=100)


def test_the_shipped_policy_pauses_a_source_that_only_fails() -> None:
    verdict = evaluate([SHIPPED], seen())
    assert (verdict.outcome, verdict.action, verdict.policy_id) == ("allow", "pause_source", SHIPPED.id)
    assert verdict.reason == (
        "pause-failing-source v1: rule is repeated-fetch-failures; risk is high; 100% of attempts failed;"
        " 0 interventions in the last day."
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"episode__rule": "other"}, "rule is other, needed repeated-fetch-failures"),
        ({"episode__risk_level": "low"}, "risk is low, needed medium or more"),
        ({"evidence__failure_share": 0.49}, "49% of attempts failed, needed 50% or more"),
        ({"history__interventions_last_day": 4}, "4 interventions in the last day, needed fewer than 4"),
    ],
)
def test_one_condition_that_does_not_hold_is_enough_to_deny(change: dict[str, Any], reason: str) -> None:
    verdict = evaluate([SHIPPED], seen(**change))
    assert (verdict.outcome, verdict.action, verdict.policy_id) == ("deny", "", "")
    assert verdict.reason == f"No policy allows an action. pause-failing-source v1: {reason}."


def test_without_a_policy_nothing_is_allowed() -> None:
    assert evaluate([], seen()).outcome == "deny"


@pytest.mark.parametrize(
    "bad",
    [
        {"conditions": [{"type": "always"}], "outcome": "allow", "action": "pause_source"},
        {"conditions": [], "outcome": "allow", "action": "pause_source"},
        {"outcome": "allow", "action": "pause_source"},
        {"conditions": [{"type": "failures_at_least", "count": 1, "or": []}], "outcome": "allow", "action": "x"},
        {"conditions": [{"type": "failures_at_least"}], "outcome": "allow", "action": "x"},
        {"conditions": [{"type": "risk_at_least", "level": "huge"}], "outcome": "allow", "action": "x"},
        {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "permit", "action": "x"},
        {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "allow"},
        {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "deny", "action": "x"},
        {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "allow", "action": "rm -rf"},
        {},
    ],
)
def test_a_policy_that_is_not_understood_stops_everything(bad: dict[str, Any]) -> None:
    with pytest.raises(PolicyInvalid):
        parse_rules(bad)
    verdict = evaluate([text(allow(), name="fine", priority=9), text(bad, name="broken")], seen())
    assert (verdict.outcome, verdict.action, verdict.policy_id) == ("error", "", "id-broken")


def test_a_deny_beats_an_allow_of_any_priority() -> None:
    verdict = evaluate([text(allow(), name="a", priority=100), text(deny(), name="d", priority=-5)], seen())
    assert (verdict.outcome, verdict.policy_id) == ("deny", "id-d")


def test_among_allows_the_highest_priority_names_the_action() -> None:
    policies = [text(allow("slow_down"), name="low", priority=1), text(allow("pause_source"), name="high", priority=2)]
    assert evaluate(policies, seen()).action == evaluate(policies[::-1], seen()).action == "pause_source"


def test_each_condition_of_the_closed_set_decides() -> None:
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "risk_at_least", "level": "high"}, {"episode__risk_level": "medium"}),
        ({"type": "rule_is", "name": "repeated-fetch-failures"}, {"episode__rule": "x"}),
        ({"type": "subject_kind_is", "kind": "source"}, {"episode__subject_kind": "document"}),
        ({"type": "failures_at_least", "count": 3}, {"evidence__failures": 2}),
        ({"type": "consecutive_failures_at_least", "count": 3}, {"evidence__consecutive_failures": 2}),
        ({"type": "failure_share_at_least", "share": 1}, {"evidence__failure_share": 0.9}),
        ({"type": "interventions_last_day_below", "count": 1}, {"history__interventions_last_day": 1}),
    ]
    for condition, change in cases:
        assert evaluate([text(allow(**condition))], seen()).outcome == "allow", condition
        assert evaluate([text(allow(**condition))], seen(**change)).outcome == "deny", condition


@given(st.permutations([text(allow(), name="a"), text(allow("b"), name="b", priority=3), SHIPPED]))
def test_the_order_in_which_policies_arrive_does_not_matter(policies: list[PolicyText]) -> None:
    in_order = sorted(policies, key=lambda policy: policy.name)
    assert evaluate(policies, seen()).hash == evaluate(in_order, seen()).hash


@given(
    st.dictionaries(st.text(max_size=5), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text())
)
def test_canonical_bytes_do_not_depend_on_key_order(value: dict[str, Any]) -> None:
    assert canonical_bytes(value) == canonical_bytes(dict(reversed(value.items())))


def test_hashes_are_of_the_text_that_decides() -> None:
    same = PolicyText(id="elsewhere", name="p", version=1, priority=0, rules=allow())
    assert text(allow()).hash == same.hash
    assert (
        len({text(allow()).hash, text(allow(), version=2).hash, text(allow(), priority=1).hash, text(deny()).hash}) == 4
    )
    assert digest({"a": 1}) == "d59b6562d7c9b121bc9760873d787890ef4d429aad33a70b405baa0fa08a1f53"


def test_nan_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_bytes({"x": float("nan")})
