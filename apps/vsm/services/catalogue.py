"""Rules and policies of a tenant: seeding, publishing, activating."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from apps.vsm import ports
from apps.vsm.errors import PolicyInvalid, PolicyNotFound
from apps.vsm.locks import lock_policy_name
from apps.vsm.models import Policy, Rule
from apps.vsm.policies import parse_rules
from apps.vsm.rules import SHIPPED_POLICIES, SHIPPED_RULES
from apps.vsm.selectors.episodes import forget_watches


def seed_tenant() -> None:
    """Give the current tenant the shipped rules and policies it does not have; what it has is left alone."""
    with transaction.atomic():
        for shipped in SHIPPED_RULES:
            rule = shipped.rule
            Rule.objects.get_or_create(
                name=rule.name,
                defaults={
                    "title": shipped.title,
                    "description": shipped.description,
                    "pattern": rule.pattern,
                    "where": [condition.model_dump(mode="json") for condition in rule.where],
                    "group_by": rule.group_by,
                    "success_pattern": shipped.success_pattern,
                    "success_where": list(shipped.success_where),
                    "window_s": rule.window_s,
                    "threshold": rule.threshold,
                    "cooldown_s": rule.cooldown_s,
                },
            )
        for policy in SHIPPED_POLICIES:
            parse_rules(policy.rules)
            Policy.objects.get_or_create(
                name=policy.name,
                version=1,
                defaults={
                    "description": policy.description,
                    "rules": policy.rules,
                    "priority": policy.priority,
                    "active": True,
                },
            )


def publish_policy(
    name: str,
    rules: Mapping[str, Any],
    *,
    description: str = "",
    priority: int = 0,
    effective_from: datetime | None = None,
    effective_to: datetime | None = None,
) -> Policy:
    """Store the next version of a policy and make it the active one. Raises PolicyInvalid; then nothing has changed."""
    parsed = parse_rules(rules)
    if parsed.action is not None and parsed.action not in ports.intervention_names():
        offered = ", ".join(sorted(ports.intervention_names())) or "none"
        raise PolicyInvalid(f"/action: nothing carries out {parsed.action!r}; there is {offered}.")
    if effective_from and effective_to and effective_to <= effective_from:
        raise PolicyInvalid("/effective_to: it must be later than effective_from.")
    with transaction.atomic():
        lock_policy_name(name)
        latest = Policy.objects.filter(name=name).aggregate(latest=Max("version"))["latest"] or 0
        Policy.objects.filter(name=name, active=True).update(active=False)
        return Policy.objects.create(
            name=name,
            version=latest + 1,
            description=description,
            rules=dict(rules),
            priority=priority,
            active=True,
            effective_from=effective_from,
            effective_to=effective_to,
        )


def activate_policy(policy_id: UUID) -> Policy:
    """Make this version the active one of its name, which is also how to roll back. Raises PolicyNotFound."""
    with transaction.atomic():
        policy = _policy(policy_id)
        lock_policy_name(policy.name)
        parse_rules(policy.rules)
        Policy.objects.filter(name=policy.name, active=True).exclude(pk=policy.pk).update(active=False)
        Policy.objects.filter(pk=policy.pk).update(active=True)
        policy.active = True
        return policy


def retire_policy(policy_id: UUID) -> Policy:
    """Take this version out of force; its decisions stay replayable. Raises PolicyNotFound."""
    policy = _policy(policy_id)
    Policy.objects.filter(pk=policy.pk).update(active=False)
    policy.active = False
    return policy


def set_rule_enabled(rule_id: UUID, *, enabled: bool) -> None:
    """Switch a rule on or off, within the seconds for which rules are kept."""
    Rule.objects.filter(pk=rule_id).update(enabled=enabled)
    forget_watches()


def _policy(policy_id: UUID) -> Policy:
    policy = Policy.objects.filter(pk=policy_id).first()
    if policy is None:
        raise PolicyNotFound(f"There is no policy {policy_id}.")
    return policy
