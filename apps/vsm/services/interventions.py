"""S3: carrying out what was allowed, once, and knowing when it was undone."""

import logging
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.core.correlation import correlation
from apps.core.errors import DomainError
from apps.core.events import publish
from apps.vsm import events, ports
from apps.vsm.errors import DecisionNotFound
from apps.vsm.locks import lock_episode
from apps.vsm.models import Decision, Episode, EpisodeStatus, InterventionRecord, InterventionStatus, Outcome

log = logging.getLogger(__name__)


def apply_intervention(decision_id: UUID) -> None:
    """Carry out one allowed decision, once. The action, its record and its event share a transaction.

    A refusal by the part that should act is recorded as failed, with its reason; the episode waits for an operator.
    Raises DecisionNotFound.
    """
    decision = Decision.objects.select_related("episode", "policy").filter(pk=decision_id).first()
    if decision is None:
        raise DecisionNotFound(f"There is no decision {decision_id}.")
    if decision.outcome != Outcome.ALLOW:
        return
    with transaction.atomic():
        episode = lock_episode(decision.episode_id)
        if episode.resolved_at is not None or InterventionRecord.objects.filter(decision=decision).exists():
            return
        record = InterventionRecord(
            episode=episode,
            decision=decision,
            action=decision.action,
            target_id=UUID(episode.subject_id),
            status=InterventionStatus.APPLIED,
            reason=f"{episode.title}. {decision.reason}",
        )
        with correlation(episode.correlation_id):
            try:
                with transaction.atomic():
                    ports.intervention_named(record.action).apply(
                        record.target_id, reason=record.reason, episode_id=episode.id
                    )
            except DomainError as error:
                _record_refusal(record, error)
                return
            record.save(force_insert=True)
            publish(
                events.InterventionApplied(
                    intervention_id=record.id,
                    episode_id=episode.id,
                    decision_id=decision.id,
                    action=record.action,
                    target_id=record.target_id,
                    reason=record.reason,
                )
            )


def _record_refusal(record: InterventionRecord, error: DomainError) -> None:
    log.warning("intervention %s on %s refused: %s", record.action, record.target_id, error.code)
    record.status = InterventionStatus.FAILED
    record.reason = f"{record.reason} Refused: {error.detail}"
    record.save(force_insert=True)
    publish(
        events.InterventionFailed(
            intervention_id=record.id,
            episode_id=record.episode_id,
            action=record.action,
            target_id=record.target_id,
            code=error.code,
            detail=error.detail,
        )
    )


def settle_reverted(action: str, target_id: UUID, *, actor: str) -> list[UUID]:
    """An operator has undone `action` on a subject: mark the interventions reverted and resolve their episodes.

    Returns the episodes resolved; none when there was nothing in force, as on a second delivery.
    """
    resolved: list[UUID] = []
    with transaction.atomic():
        in_force = InterventionRecord.objects.filter(
            action=action, target_id=target_id, status=InterventionStatus.APPLIED
        )
        for episode_id in in_force.order_by("episode_id").values_list("episode_id", flat=True):
            episode = lock_episode(episode_id)
            record = in_force.select_for_update().filter(episode=episode).first()
            if record is None:
                continue
            with correlation(episode.correlation_id):
                mark_reverted(record, actor=actor)
                if episode.resolved_at is None:
                    close_episode(episode, actor=actor, resolution=f"{action} was reverted.")
                    resolved.append(episode.id)
    return resolved


def mark_reverted(record: InterventionRecord, *, actor: str) -> None:
    """Write that a locked intervention no longer holds, in the caller's transaction."""
    record.status = InterventionStatus.REVERTED
    record.reverted_at, record.reverted_by = timezone.now(), actor[:200]
    record.save(update_fields=["status", "reverted_at", "reverted_by"])
    publish(
        events.InterventionReverted(
            intervention_id=record.id,
            episode_id=record.episode_id,
            action=record.action,
            target_id=record.target_id,
            actor=actor,
        )
    )


def close_episode(episode: Episode, *, actor: str, resolution: str) -> None:
    """Write the end of a locked episode, in the caller's transaction and under the episode's correlation id."""
    episode.status, episode.resolved_at = EpisodeStatus.RESOLVED, timezone.now()
    episode.resolution, episode.resolved_by = resolution, actor[:200]
    episode.save(update_fields=["status", "resolved_at", "resolution", "resolved_by"])
    publish(events.EpisodeResolved(episode_id=episode.id, actor=actor, resolution=resolution))
