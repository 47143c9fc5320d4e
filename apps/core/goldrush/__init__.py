"""Goldrush: rules over the event log. A rule names a topic, conditions, a group, a window and a threshold.

Matching is pure; counting reads the log in PostgreSQL, so a restarted process counts what the stopped one would have.
"""

from apps.core.goldrush.rules import (
    Condition,
    Observed,
    Operator,
    Rule,
    RuleInvalid,
    field_value,
    group_of,
    matches,
    parse_conditions,
)
from apps.core.goldrush.windows import Window, events_in_group, payload_text, window_at

__all__ = [
    "Condition",
    "Observed",
    "Operator",
    "Rule",
    "RuleInvalid",
    "Window",
    "events_in_group",
    "field_value",
    "group_of",
    "matches",
    "parse_conditions",
    "payload_text",
    "window_at",
]
