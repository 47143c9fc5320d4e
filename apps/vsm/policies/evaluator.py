"""Evaluation: an error in any policy, then a deny, then the first allow, then deny. Nothing fails open."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apps.vsm.errors import PolicyInvalid
from apps.vsm.policies.canonical import digest
from apps.vsm.policies.format import DecisionInput, PolicyRules, parse_rules


@dataclass(frozen=True)
class PolicyText:
    """One policy version as stored. `rules` is parsed at each evaluation, so a bad row is an error, not a pass."""

    id: str
    name: str
    version: int
    priority: int
    rules: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Of what decides; not of the id, so that the same text has the same hash everywhere."""
        return digest({"name": self.name, "version": self.version, "priority": self.priority, "rules": self.rules})

    @property
    def label(self) -> str:
        return f"{self.name} v{self.version}"


@dataclass(frozen=True)
class Verdict:
    """`policy_id` is the policy that decided, or "" when none did; `action` is empty unless allowed."""

    outcome: Literal["allow", "deny", "error"]
    action: str
    reason: str
    policy_id: str

    @property
    def hash(self) -> str:
        return digest(asdict(self))


def evaluate(policies: Sequence[PolicyText], seen: DecisionInput) -> Verdict:
    """Ask every policy, highest priority first (ties by name and version)."""
    allow: Verdict | None = None
    deny: Verdict | None = None
    unmet: list[str] = []
    for policy in sorted(policies, key=lambda item: (-item.priority, item.name, item.version)):
        try:
            rules = parse_rules(policy.rules)
        except PolicyInvalid as error:
            return Verdict(
                "error", "", f"{policy.label} is not valid, so nothing is allowed: {error.detail}", policy.id
            )
        holds, why = _check(rules, seen)
        if not holds:
            unmet.append(f"{policy.label}: {why}.")
        elif rules.outcome == "deny":
            deny = deny or Verdict("deny", "", f"{policy.label}: {why}.", policy.id)
        else:
            allow = allow or Verdict("allow", rules.action or "", f"{policy.label}: {why}.", policy.id)
    if deny or allow:
        return deny or allow  # type: ignore[return-value]  # one of them is set
    if not unmet:
        return Verdict("deny", "", "No policy is in force, and without one nothing is allowed.", "")
    return Verdict("deny", "", "No policy allows an action. " + " ".join(unmet), "")


def _check(rules: PolicyRules, seen: DecisionInput) -> tuple[bool, str]:
    """Whether all conditions hold; then all of them in words, else the first that does not."""
    words: list[str] = []
    for condition in rules.conditions:
        checked = condition.check(seen)
        if not checked.holds:
            return False, f"{checked.fact}, needed {checked.needed}"
        words.append(checked.fact)
    return True, "; ".join(words)
