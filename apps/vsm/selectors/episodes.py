"""Episodes, their evidence and their timeline."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.core.goldrush import Rule as GoldrushRule
from apps.core.goldrush import RuleInvalid, events_in_group, parse_conditions, payload_text
from apps.core.models import Event
from apps.core.tenancy import current_tenant
from apps.vsm import events
from apps.vsm.analysis import Evidence, Observation, weigh
from apps.vsm.conf import vsm_settings
from apps.vsm.errors import EpisodeNotFound
from apps.vsm.models import Decision, Episode, InterventionRecord, Policy, Rule
from apps.vsm.policies import DecisionInput, EpisodeFacts, EvidenceFacts, HistoryFacts, PolicyText

TIMELINE_LIMIT = 200
HISTORY = timedelta(hours=24)
WATCH_CACHE_S = 2.0
WATCH_CACHE_TENANTS = 10_000

log = logging.getLogger(__name__)


def goldrush_rule(row: Rule) -> GoldrushRule:
    """The stored rule in goldrush's form. Raises RuleInvalid."""
    return GoldrushRule.parse(
        {
            "name": row.name,
            "pattern": row.pattern,
            "where": row.where,
            "group_by": row.group_by,
            "window_s": row.window_s,
            "threshold": row.threshold,
            "cooldown_s": row.cooldown_s,
        }
    )


def episodes_visible() -> QuerySet[Episode]:
    """Episodes of the current tenant, newest first."""
    return Episode.objects.select_related("rule").order_by("-id")


def episode_by_id(episode_id: UUID) -> Episode:
    """Raises EpisodeNotFound."""
    episode = episodes_visible().filter(pk=episode_id).first()
    if episode is None:
        raise EpisodeNotFound(f"There is no episode {episode_id}.")
    return episode


def correlation_of_episode(episode_id: UUID) -> UUID | None:
    """The correlation id that an episode's events carry, for a command that acts on the episode's behalf."""
    return Episode.objects.filter(pk=episode_id).values_list("correlation_id", flat=True).first()


@dataclass(frozen=True)
class Watch:
    """A rule ready for matching."""

    row: Rule
    rule: GoldrushRule


_watches: dict[UUID, tuple[float, tuple[Watch, ...]]] = {}


def watches_in_force() -> tuple[Watch, ...]:
    """The tenant's enabled rules, kept for WATCH_CACHE_S: every event asks. A rule that is not valid is left out."""
    tenant_id = current_tenant().id
    kept_until, watches = _watches.get(tenant_id, (0.0, ()))
    if kept_until < monotonic():
        watches = tuple(_readable(Rule.objects.filter(enabled=True).order_by("name")))
        if len(_watches) >= WATCH_CACHE_TENANTS:
            _watches.clear()
        _watches[tenant_id] = (monotonic() + WATCH_CACHE_S, watches)
    return watches


def forget_watches() -> None:
    """Read the current tenant's rules anew at the next event of this process."""
    _watches.pop(current_tenant().id, None)


def _readable(rows: Iterable[Rule]) -> Iterator[Watch]:
    for row in rows:
        try:
            yield Watch(row, goldrush_rule(row))
        except RuleInvalid as error:
            log.warning("rule %s is not valid and is passed over: %s", row.name, error.errors)


@dataclass(frozen=True)
class LastEpisode:
    """When the newest episode of a rule and subject began and ended."""

    created_at: datetime
    resolved_at: datetime | None


def last_episode(rule: Rule, subject_id: str) -> LastEpisode | None:
    found = (
        Episode.objects.filter(rule=rule, subject_id=subject_id)
        .order_by("-created_at")
        .values_list("created_at", "resolved_at")
        .first()
    )
    return LastEpisode(*found) if found else None


def episode_evidence(episode: Episode, *, until: datetime | None = None) -> Evidence:
    """What the log says about the subject from the episode's window to `until` (now when None)."""
    until = until or timezone.now()
    limit = vsm_settings().evidence_limit
    rule = goldrush_rule(episode.rule)
    failures = _observations(rule, episode, until, limit, failed=True)
    successes: list[Observation] = []
    if episode.rule.success_pattern:
        opposite = rule.model_copy(
            update={
                "pattern": episode.rule.success_pattern,
                "where": parse_conditions(episode.rule.success_where),
            }
        )
        successes = _observations(opposite, episode, until, limit, failed=False)
    return weigh(
        [*failures, *successes],
        since=episode.window_from,
        until=until,
        truncated=len(failures) == limit,
        earlier=Episode.objects.filter(
            rule=episode.rule, subject_id=episode.subject_id, created_at__lt=episode.created_at
        ).count(),
    )


def _observations(
    rule: GoldrushRule, episode: Episode, until: datetime, limit: int, *, failed: bool
) -> list[Observation]:
    """The newest events of the subject that the rule counts, one per object where they name a document."""
    rows = (
        events_in_group(rule, episode.subject_id)
        .filter(occurred_at__gt=episode.window_from, occurred_at__lte=until)
        .order_by("-occurred_at", "-id")[:limit]
    )
    return [
        Observation(
            at=row.occurred_at,
            code=str(row.payload.get("code") or row.name) if failed else "",
            url=str(row.payload.get("url", "")),
            detail=str(row.payload.get("detail", ""))[:300],
        )
        for row in rows
        if all(condition.holds(row.payload) for condition in rule.where)
    ]


def episode_timeline(episode: Episode) -> list[Event]:
    """The events of an episode, oldest first: failures counted, the loop's steps, what was done to the subject.

    The loop's steps share the episode's correlation id; an operator's resume is found by its subject.
    """
    ended = episode.resolved_at or timezone.now()
    own = Q()
    for topic in events.STEP_TOPICS:
        own |= Q(name__startswith=topic[:-1])
    around = (episode.window_from, ended + timedelta(seconds=60))
    return list(
        Event.objects.filter(tenant_id=current_tenant().id)
        .annotate(subject=payload_text(episode.rule.group_by))
        .filter(
            Q(pk__in=episode.event_ids)
            | (Q(correlation_id=episode.correlation_id) & own)
            | Q(name__startswith=f"{episode.source_kind}.", occurred_at__range=around, subject=episode.subject_id)
        )
        .order_by("occurred_at", "id")[:TIMELINE_LIMIT]
    )


def decision_input(episode: Episode) -> DecisionInput:
    """What the policies get to see: the stored analysis and the subject's last 24 hours."""
    evidence = Evidence.model_validate(episode.analysis["evidence"])
    since = episode.created_at - HISTORY
    return DecisionInput(
        episode=EpisodeFacts.model_validate(
            {
                "id": episode.id,
                "rule": episode.rule.name,
                "rule_version": episode.rule.version,
                "subject_kind": episode.source_kind,
                "subject_id": episode.subject_id,
                "risk_level": episode.risk_level,
                "analysis_method": episode.analysis_method,
            }
        ),
        evidence=EvidenceFacts(
            failures=evidence.failures,
            successes=evidence.successes,
            consecutive_failures=evidence.consecutive_failures,
            failure_share=evidence.failure_share,
            failures_per_minute=evidence.failures_per_minute,
            span_s=evidence.span_s,
        ),
        history=HistoryFacts(
            episodes_last_day=Episode.objects.filter(
                subject_id=episode.subject_id, created_at__range=(since, episode.created_at)
            )
            .exclude(pk=episode.pk)
            .count(),
            interventions_last_day=InterventionRecord.objects.filter(
                episode__subject_id=episode.subject_id, created_at__range=(since, episode.created_at)
            ).count(),
        ),
    )


def policies_in_force(at: datetime) -> list[Policy]:
    """Active versions whose dates cover `at`, highest priority first."""
    return list(
        Policy.objects.filter(active=True)
        .filter(Q(effective_from__isnull=True) | Q(effective_from__lte=at))
        .filter(Q(effective_to__isnull=True) | Q(effective_to__gt=at))
        .order_by("-priority", "name", "version")
    )


def policy_texts(policies: Sequence[Policy]) -> list[PolicyText]:
    return [
        PolicyText(id=str(row.id), name=row.name, version=row.version, priority=row.priority, rules=row.rules)
        for row in policies
    ]


def decision_policies(decision: Decision) -> list[Policy]:
    """The policy versions that were asked, as they are stored now."""
    ids = [UUID(item["id"]) for item in decision.policies]
    found = Policy.objects.in_bulk(ids)
    return [found[item] for item in ids if item in found]
