"""Policies: format, canonical bytes, evaluation. Pure: the same input gives the same verdict, bit for bit."""

from apps.vsm.policies.canonical import canonical_bytes, digest
from apps.vsm.policies.evaluator import PolicyText, Verdict, evaluate
from apps.vsm.policies.format import DecisionInput, EpisodeFacts, EvidenceFacts, HistoryFacts, PolicyRules, parse_rules

__all__ = [
    "DecisionInput",
    "EpisodeFacts",
    "EvidenceFacts",
    "HistoryFacts",
    "PolicyRules",
    "PolicyText",
    "Verdict",
    "canonical_bytes",
    "digest",
    "evaluate",
    "parse_rules",
]
