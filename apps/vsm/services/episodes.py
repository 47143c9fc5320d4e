"""Episodes: opened by rules, analysed by S4, resolved by operators."""

import logging
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction

from apps.capabilities import llm
from apps.capabilities.errors import LlmUnavailable
from apps.core.correlation import correlation
from apps.core.events import StoredEvent, publish, topic_matches
from apps.core.goldrush import Window, group_of, matches, window_at
from apps.vsm import events, ports
from apps.vsm.analysis import (
    SYSTEM_PROMPT,
    Analysis,
    AnalysisUnusable,
    Evidence,
    evidence_prompt,
    parse_reply,
    statistical_analysis,
)
from apps.vsm.errors import EpisodeResolved
from apps.vsm.locks import lock_episode
from apps.vsm.models import AnalysisMethod, Episode, EpisodeStatus, InterventionStatus, Rule
from apps.vsm.selectors.episodes import Watch, episode_evidence, last_episode, watches_in_force
from apps.vsm.services.interventions import close_episode, mark_reverted

log = logging.getLogger(__name__)

NOT_CONNECTED = "Computed from the events; no language model is connected."
NOT_USABLE = "Computed from the events; the language model gave no usable answer"


def watch_event(event: StoredEvent) -> list[UUID]:
    """Hold one event against every enabled rule; returns the episodes that it opened.

    The loop's own events are passed over. Runs in the subscriber's transaction: the same event again opens nothing.
    """
    if any(topic_matches(topic, event.name) for topic in events.OWN_TOPICS):
        return []
    opened: list[UUID] = []
    for watch in watches_in_force():
        if not matches(watch.rule, event):
            continue
        episode = _hold_against(watch, event)
        if episode is not None:
            opened.append(episode.id)
    return opened


def _hold_against(watch: Watch, event: StoredEvent) -> Episode | None:
    """An open episode of the subject, or one younger than the cooldown, leaves nothing to do."""
    row, rule = watch.row, watch.rule
    last = last_episode(row, group_of(rule, event.payload) or "")
    if last and (last.resolved_at is None or event.occurred_at < last.created_at + timedelta(seconds=rule.cooldown_s)):
        return None
    window_from = event.occurred_at - timedelta(seconds=rule.window_s)
    if last and last.resolved_at:
        window_from = max(window_from, last.resolved_at)
    window = window_at(rule, event, floor=window_from)
    if window is None or window.count < rule.threshold:
        return None
    return _open_episode(row, window, event, window_from=window_from)


def _open_episode(row: Rule, window: Window, event: StoredEvent, *, window_from: datetime) -> Episode | None:
    """One open episode per rule and subject: a second match while it is open adds nothing."""
    kind = row.group_by.rsplit(".", 1)[-1].removesuffix("_id")
    label = urlsplit(str(event.payload.get("url", ""))).netloc or window.group
    episode, created = Episode.objects.get_or_create(
        rule=row,
        subject_id=window.group,
        resolved_at=None,
        defaults={
            "title": f"{row.title}: {label}"[:300],
            "content": (
                f"{window.count} × {event.name} for {kind} {window.group} within {row.window_s} s"
                f" (rule {row.name} v{row.version}, threshold {row.threshold})."
            ),
            "source_kind": kind,
            "correlation_id": event.correlation_id,
            "window_from": window_from,
            "event_ids": [str(item) for item in window.event_ids],
            "tags": [row.name, kind],
        },
    )
    if not created:
        return None
    with correlation(episode.correlation_id):
        publish(
            events.RuleMatched(
                rule_id=row.id,
                rule_name=row.name,
                rule_version=row.version,
                subject_id=window.group,
                event_count=window.count,
                window_s=row.window_s,
            )
        )
        publish(
            events.EpisodeCreated(
                episode_id=episode.id,
                title=episode.title,
                rule_name=row.name,
                subject_kind=kind,
                subject_id=window.group,
            )
        )
    return episode


def analyse_episode(episode_id: UUID) -> None:
    """Store what S4 makes of an episode, once: by the language model when one is connected, else by counting.

    The model is asked outside of any transaction.
    """
    with transaction.atomic():
        episode = lock_episode(episode_id)
        if episode.status not in {EpisodeStatus.OPEN, EpisodeStatus.ANALYZING}:
            return
        episode.status = EpisodeStatus.ANALYZING
        episode.save(update_fields=["status"])
        evidence = episode_evidence(episode)
    label = episode.title.removeprefix(f"{episode.rule.title}: ")
    analysis, method, notice, model = _analyse(episode.title, label, evidence, threshold=episode.rule.threshold)
    with transaction.atomic(), correlation(episode.correlation_id):
        episode = lock_episode(episode_id)
        if episode.status != EpisodeStatus.ANALYZING:
            return
        episode.status = EpisodeStatus.ANALYZED
        episode.analysis = {
            **analysis.model_dump(mode="json"),
            "evidence": evidence.model_dump(mode="json"),
            "notice": notice,
            "model": model,
        }
        episode.analysis_method = method
        episode.risk_level = analysis.risk_level
        episode.save(update_fields=["status", "analysis", "analysis_method", "risk_level"])
        publish(
            events.EpisodeAnalyzed(
                episode_id=episode.id, method=method, risk_level=analysis.risk_level, summary=analysis.summary
            )
        )


def _analyse(
    title: str, label: str, evidence: Evidence, *, threshold: int
) -> tuple[Analysis, AnalysisMethod, str, str]:
    """The analysis, how it came about, a notice for the reader, and the model that answered ("" for none)."""
    notice = NOT_CONNECTED
    if llm.configured():
        try:
            reply = llm.complete(
                [
                    {"role": "system", "content": SYSTEM_PROMPT},
                    {"role": "user", "content": evidence_prompt(title, evidence)},
                ],
                response_format={"type": "json_object"},
            )
            return parse_reply(reply.text), AnalysisMethod.LLM, "", reply.finish.model
        except LlmUnavailable as error:
            notice = f"{NOT_USABLE} ({error.code})."
        except AnalysisUnusable as error:
            notice = f"{NOT_USABLE} ({error})."
        log.warning("episode analysis falls back to counting: %s", notice)
    return statistical_analysis(label, evidence, threshold=threshold), AnalysisMethod.STATISTICAL, notice, ""


def fail_episode(episode_id: UUID, *, step: str, code: str, detail: str) -> None:
    """A step gave up for good: the episode waits for an operator. Decided and resolved episodes stay as they are."""
    with transaction.atomic():
        episode = lock_episode(episode_id)
        if episode.status not in {EpisodeStatus.OPEN, EpisodeStatus.ANALYZING, EpisodeStatus.ANALYZED}:
            return
        episode.status = EpisodeStatus.ERROR
        episode.save(update_fields=["status"])
        with correlation(episode.correlation_id):
            publish(events.EpisodeFailed(episode_id=episode.id, step=step, code=code, detail=detail[:500]))


def resolve_episode(episode_id: UUID, *, actor: str, resolution: str = "") -> Episode:
    """End an episode; interventions of it that still hold are undone. Raises EpisodeNotFound, EpisodeResolved."""
    with transaction.atomic():
        episode = lock_episode(episode_id)
        if episode.resolved_at is not None:
            raise EpisodeResolved("This episode was resolved before.")
        with correlation(episode.correlation_id):
            for record in episode.interventions.select_for_update().filter(status=InterventionStatus.APPLIED):
                mark_reverted(record, actor=actor)
                ports.intervention_named(record.action).revert(record.target_id, actor=actor)
            close_episode(episode, actor=actor, resolution=resolution or "Resolved by an operator.")
        return episode
