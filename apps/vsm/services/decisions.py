"""S5: deciding under the policies in force, asking a decision again, and asking what would be decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from apps.core.correlation import correlation
from apps.core.events import publish
from apps.vsm import events
from apps.vsm.errors import DecisionNotFound
from apps.vsm.locks import lock_episode
from apps.vsm.models import Decision, EpisodeStatus
from apps.vsm.policies import DecisionInput, PolicyText, Verdict, digest, evaluate
from apps.vsm.selectors.episodes import (
    decision_input,
    decision_policies,
    episode_by_id,
    policies_in_force,
    policy_texts,
)


@dataclass(frozen=True)
class Replay:
    """A decision asked again. `identical`: input, policies and verdict are the recorded ones, byte for byte."""

    decision_id: UUID
    identical: bool
    recorded: str
    replayed: str
    differences: tuple[str, ...]


@dataclass(frozen=True)
class DryRun:
    """What would be decided on one episode, and what was."""

    episode_id: UUID
    title: str
    verdict: Verdict
    recorded_outcome: str


def evaluate_policy(episode_id: UUID) -> UUID | None:
    """Decide on an analysed episode, once, and record everything the decision rests on.

    Returns the decision's id; None when the episode is not (or no longer) waiting for one.
    """
    with transaction.atomic():
        episode = lock_episode(episode_id)
        if episode.status != EpisodeStatus.ANALYZED:
            return None
        rows = policies_in_force(timezone.now())
        texts = policy_texts(rows)
        seen = decision_input(episode)
        verdict = evaluate(texts, seen)
        recorded_input = seen.model_dump(mode="json")
        decision = Decision.objects.create(
            episode=episode,
            policy=next((row for row in rows if str(row.id) == verdict.policy_id), None),
            policies=[_asked(text) for text in texts],
            input=recorded_input,
            input_hash=digest(recorded_input),
            policy_hash=_policy_hash(texts),
            verdict_hash=verdict.hash,
            outcome=verdict.outcome,
            action=verdict.action,
            reason=verdict.reason,
        )
        episode.status = EpisodeStatus.DECIDED
        episode.save(update_fields=["status"])
        with correlation(episode.correlation_id):
            publish(
                events.PolicyEvaluated(
                    decision_id=decision.id,
                    episode_id=episode.id,
                    policy_name=decision.policy.name if decision.policy else "",
                    policy_version=decision.policy.version if decision.policy else 0,
                    outcome=verdict.outcome,
                    action=verdict.action,
                    reason=verdict.reason,
                    input_hash=decision.input_hash,
                    policy_hash=decision.policy_hash,
                )
            )
        return decision.id


def replay_decision(decision_id: UUID) -> Replay:
    """Evaluate the stored input under the stored policy versions again. Raises DecisionNotFound; writes nothing."""
    decision = Decision.objects.filter(pk=decision_id).first()
    if decision is None:
        raise DecisionNotFound(f"There is no decision {decision_id}.")
    texts = policy_texts(decision_policies(decision))
    differences: list[str] = []
    if digest(decision.input) != decision.input_hash:
        differences.append("the stored input is not the one that was decided on")
    if [_asked(text) for text in texts] != decision.policies or _policy_hash(texts) != decision.policy_hash:
        differences.append("a policy version is not the one that was asked")
    try:
        verdict = evaluate(texts, DecisionInput.model_validate(decision.input))
    except ValidationError:
        verdict = Verdict("error", "", "The stored input cannot be read.", "")
    if verdict.hash != decision.verdict_hash:
        differences.append("the verdict differs")
    return Replay(
        decision_id=decision.id,
        identical=not differences,
        recorded=f"{decision.outcome} {decision.action}".strip(),
        replayed=f"{verdict.outcome} {verdict.action}".strip(),
        differences=tuple(differences),
    )


def dry_run_policies(
    episode_id: UUID, *, candidate: Mapping[str, Any] | None = None, name: str = "candidate"
) -> DryRun:
    """What the policies in force would decide on an episode; with `candidate`, that text in place of its name's.

    Writes nothing. Raises EpisodeNotFound; a candidate that is not valid gives the verdict "error".
    """
    episode = episode_by_id(episode_id)
    texts = policy_texts(policies_in_force(timezone.now()))
    if candidate is not None:
        priority = next((text.priority for text in texts if text.name == name), 0)
        texts = [text for text in texts if text.name != name]
        texts.append(PolicyText(id="candidate", name=name, version=0, priority=priority, rules=candidate))
    recorded = episode.decisions.values_list("outcome", flat=True).first()
    if not episode.analysis:
        verdict = Verdict("error", "", "The episode is not analysed yet, so there is nothing to decide on.", "")
    else:
        verdict = evaluate(texts, decision_input(episode))
    return DryRun(episode.id, episode.title, verdict, recorded or "")


def _asked(text: PolicyText) -> dict[str, Any]:
    return {"id": text.id, "name": text.name, "version": text.version, "hash": text.hash}


def _policy_hash(texts: list[PolicyText]) -> str:
    """Of all policies asked, in the order they were asked."""
    return digest([text.hash for text in texts])
