"""The five systems in figures. Every figure is counted when asked for; every state follows by a stated rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone

from apps.core.jobs import QUEUES
from apps.core.models import WAITING, Job, JobState
from apps.core.tenancy import current_tenant
from apps.vsm import ports
from apps.vsm.models import (
    Audit,
    Decision,
    Episode,
    EpisodeStatus,
    InterventionRecord,
    InterventionStatus,
    Outcome,
    Policy,
    System,
    SystemState,
)

Figures = Mapping[str, int | float]
DAY = timedelta(hours=24)
SLOW_AFTER_S = 60


@dataclass(frozen=True)
class Reading:
    """One system at one moment."""

    system: int
    state: str
    figures: dict[str, int | float]


def read_systems() -> list[Reading]:
    """All five systems of the current tenant, S1 to S5."""
    operations = {name: _plain(value) for name, value in ports.operations_figures().items()}
    coordination = _coordination()
    control = _control(operations)
    intelligence = _intelligence()
    policy = _policy()
    return [
        Reading(System.OPERATIONS, operations_state(operations), operations),
        Reading(System.COORDINATION, coordination_state(coordination), coordination),
        Reading(System.CONTROL, control_state(control), control),
        Reading(System.INTELLIGENCE, intelligence_state(intelligence), intelligence),
        Reading(System.POLICY, policy_state(policy), policy),
    ]


def current_states() -> list[SystemState]:
    """The newest row of each system that was ever observed, S1 first."""
    return list(SystemState.objects.order_by("system", "-version").distinct("system"))


def operations_state(figures: Figures) -> str:
    """stalled: every source is paused; strained: one is, or fetches failed in the last hour; idle: no source yet."""
    active, paused = figures.get("sources_active", 0), figures.get("sources_paused", 0)
    if paused and not active:
        return "stalled"
    if paused or figures.get("failures_last_hour", 0):
        return "strained"
    return "operating" if active else "idle"


def coordination_state(figures: Figures) -> str:
    """blocked: work is overdue and none is being done; congested: work is overdue; flowing: work is there; clear."""
    overdue = figures["oldest_waiting_s"] >= SLOW_AFTER_S
    if overdue and not figures["jobs_executing"]:
        return "blocked"
    if overdue:
        return "congested"
    return "flowing" if figures["jobs_backlog"] or figures["jobs_executing"] else "clear"


def control_state(figures: Figures) -> str:
    """alarmed: the last audit found a mismatch; intervening: an intervention holds; steady."""
    if figures["audit_mismatches"]:
        return "alarmed"
    return "intervening" if figures["interventions_active"] else "steady"


def intelligence_state(figures: Figures) -> str:
    """impaired: an unresolved episode could not be analysed; analysing; attentive: episodes are open; watching."""
    if figures["episodes_error"]:
        return "impaired"
    if figures["episodes_open"] or figures["episodes_analyzing"]:
        return "analysing"
    return "attentive" if figures["episodes_unresolved"] else "watching"


def policy_state(figures: Figures) -> str:
    """unguided: no policy is active; erring: a decision of the last day was an error; governing."""
    if not figures["policies_active"]:
        return "unguided"
    return "erring" if figures["decisions_error_24h"] else "governing"


def _plain(value: float) -> int | float:
    return value if isinstance(value, int) else round(value, 3)


def _coordination() -> dict[str, int | float]:
    """Backlog = due and waiting; work scheduled for later is not late and is counted apart."""
    now = timezone.now()
    due = Q(state__in=WAITING, scheduled_at__lte=now)
    rows = (
        Job.objects.filter(tenant_id=current_tenant().id, state__in=(*WAITING, JobState.EXECUTING))
        .exclude(name="vsm.observe_systems")
        .values("queue")
        .annotate(
            backlog=Count("id", filter=due),
            executing=Count("id", filter=Q(state=JobState.EXECUTING)),
            later=Count("id", filter=Q(state__in=WAITING, scheduled_at__gt=now)),
            oldest=Min("scheduled_at", filter=due),
        )
    )
    by_queue = {row["queue"]: row for row in rows}
    figures: dict[str, int | float] = {
        "jobs_backlog": sum(row["backlog"] for row in by_queue.values()),
        "jobs_executing": sum(row["executing"] for row in by_queue.values()),
        "jobs_scheduled": sum(row["later"] for row in by_queue.values()),
        "oldest_waiting_s": max(
            (int((now - row["oldest"]).total_seconds()) for row in by_queue.values() if row["oldest"]), default=0
        ),
    }
    for queue in QUEUES:
        row = by_queue.get(queue)
        figures[f"backlog_{queue}"] = row["backlog"] if row else 0
        figures[f"executing_{queue}"] = row["executing"] if row else 0
    return figures


def _control(operations: Figures) -> dict[str, int | float]:
    last = Audit.objects.order_by("-id").first()
    return {
        "interventions_active": InterventionRecord.objects.filter(status=InterventionStatus.APPLIED).count(),
        "interventions_24h": InterventionRecord.objects.filter(created_at__gt=timezone.now() - DAY).count(),
        "documents_held": operations.get("documents_held", 0),
        "audit_sampled": last.sampled if last else 0,
        "audit_mismatches": len(last.mismatches) if last else 0,
    }


def _intelligence() -> dict[str, int | float]:
    day_ago = timezone.now() - DAY
    unresolved = Q(resolved_at__isnull=True)
    return Episode.objects.aggregate(
        episodes_unresolved=Count("id", filter=unresolved),
        episodes_open=Count("id", filter=Q(status=EpisodeStatus.OPEN)),
        episodes_analyzing=Count("id", filter=Q(status=EpisodeStatus.ANALYZING)),
        episodes_error=Count("id", filter=Q(status=EpisodeStatus.ERROR)),
        episodes_24h=Count("id", filter=Q(created_at__gt=day_ago)),
        analysed_24h=Count("id", filter=Q(created_at__gt=day_ago) & ~Q(analysis_method="")),
    )


def _policy() -> dict[str, int | float]:
    recent = Decision.objects.filter(created_at__gt=timezone.now() - DAY).aggregate(
        **{f"decisions_{outcome.value}_24h": Count("id", filter=Q(outcome=outcome)) for outcome in Outcome}
    )
    return {"policies_active": Policy.objects.filter(active=True).count(), **recent}
