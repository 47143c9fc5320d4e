"""What the loop tells. One turn of it carries one correlation id."""

from typing import Any, ClassVar
from uuid import UUID

from apps.core.events import Event


class RuleMatched(Event):
    """A rule's threshold was reached for one subject. Emitted by vsm.services.open_episode."""

    name: ClassVar[str] = "rule.matched"
    rule_id: UUID
    rule_name: str
    rule_version: int
    subject_id: str
    event_count: int
    window_s: int


class EpisodeCreated(Event):
    """An episode is open. Emitted by vsm.services.open_episode."""

    name: ClassVar[str] = "episode.created"
    episode_id: UUID
    title: str
    rule_name: str
    subject_kind: str
    subject_id: str


class EpisodeAnalyzed(Event):
    """The analysis of an episode is stored. Emitted by vsm.services.analyse_episode."""

    name: ClassVar[str] = "episode.analyzed"
    episode_id: UUID
    method: str
    risk_level: str
    summary: str


class EpisodeFailed(Event):
    """A step of the loop gave up on an episode; an operator has to look. Emitted by vsm.services.fail_episode."""

    name: ClassVar[str] = "episode.failed"
    episode_id: UUID
    step: str
    code: str
    detail: str


class PolicyEvaluated(Event):
    """The policies have spoken on an episode. Emitted by vsm.services.evaluate_policy."""

    name: ClassVar[str] = "policy.evaluated"
    decision_id: UUID
    episode_id: UUID
    policy_name: str
    policy_version: int
    outcome: str
    action: str
    reason: str
    input_hash: str
    policy_hash: str


class InterventionApplied(Event):
    """An action was carried out. Emitted by vsm.services.apply_intervention."""

    name: ClassVar[str] = "intervention.applied"
    intervention_id: UUID
    episode_id: UUID
    decision_id: UUID
    action: str
    target_id: UUID
    reason: str


class InterventionFailed(Event):
    """An allowed action was refused by the part that carries it out. Emitted by vsm.services.apply_intervention."""

    name: ClassVar[str] = "intervention.failed"
    intervention_id: UUID
    episode_id: UUID
    action: str
    target_id: UUID
    code: str
    detail: str


class InterventionReverted(Event):
    """An action was undone by an operator. Emitted by vsm.services.settle_reverted and resolve_episode."""

    name: ClassVar[str] = "intervention.reverted"
    intervention_id: UUID
    episode_id: UUID
    action: str
    target_id: UUID
    actor: str


class EpisodeResolved(Event):
    """An episode has ended. Emitted by vsm.services.settle_reverted and resolve_episode."""

    name: ClassVar[str] = "episode.resolved"
    episode_id: UUID
    actor: str
    resolution: str


class AuditCompleted(Event):
    """S3* has checked a sample of indexed documents. Emitted by vsm.services.audit_operations."""

    name: ClassVar[str] = "audit.completed"
    audit_id: UUID
    population: int
    sampled: int
    mismatched: int


class SystemStateChanged(Event):
    """A system's state or one of its figures has changed. Emitted by vsm.services.observe_systems."""

    name: ClassVar[str] = "system.state"
    system: int
    state: str
    version: int
    figures: dict[str, Any]


STEP_TOPICS = ("rule.*", "episode.*", "policy.*", "intervention.*")
"""The steps of one episode."""

OWN_TOPICS = (*STEP_TOPICS, "audit.*", "system.*")
"""All that the loop itself says; rules never watch it."""
