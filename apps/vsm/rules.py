"""The rules and policies that every new tenant starts with."""

from dataclasses import dataclass
from typing import Any, Final

from apps.core.goldrush import Rule


@dataclass(frozen=True)
class ShippedRule:
    """`subject_kind` names what `group_by` identifies; `success` is the opposite outcome, for shares and runs."""

    rule: Rule
    title: str
    description: str
    success_pattern: str = ""
    success_where: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class ShippedPolicy:
    name: str
    description: str
    priority: int
    rules: dict[str, Any]


REPEATED_FETCH_FAILURES: Final = ShippedRule(
    rule=Rule(
        name="repeated-fetch-failures",
        pattern="source.fetch_failed",
        group_by="source_id",
        window_s=600,
        threshold=3,
    ),
    title="Repeated fetch failures",
    description="Three fetches from one source have failed within ten minutes.",
    success_pattern="document.advanced",
    success_where=({"field": "stage", "op": "eq", "value": "normalise"},),
)

PAUSE_FAILING_SOURCE: Final = ShippedPolicy(
    name="pause-failing-source",
    description=(
        "Stop asking a source that mostly fails, until an operator resumes it. Not more than three times a day:"
        " a source that keeps coming back needs a person."
    ),
    priority=100,
    rules={
        "conditions": [
            {"type": "rule_is", "name": "repeated-fetch-failures"},
            {"type": "risk_at_least", "level": "medium"},
            {"type": "failure_share_at_least", "share": 0.5},
            {"type": "interventions_last_day_below", "count": 4},
        ],
        "outcome": "allow",
        "action": "pause_source",
    },
)

SHIPPED_RULES: Final = (REPEATED_FETCH_FAILURES,)
SHIPPED_POLICIES: Final = (PAUSE_FAILING_SOURCE,)
