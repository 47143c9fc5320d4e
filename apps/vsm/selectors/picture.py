"""The viable system as the /vsm page draws it: per system a state, figures, and the rows behind each figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse

from apps.vsm.models import System
from apps.vsm.selectors.systems import current_states

# figure -> (label, admin list behind it, its filters)
_SHOWN: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "sources_active": ("Active sources", "content_source", {"state__exact": "active"}),
    "sources_paused": ("Paused sources", "content_source", {"state__exact": "paused"}),
    "documents_ready": ("Documents ready", "content_document", {"status__exact": "ready"}),
    "documents_pending": ("Documents waiting", "content_document", {"status__exact": "pending"}),
    "documents_processing": ("Documents in work", "content_document", {"status__exact": "processing"}),
    "documents_failed": ("Documents failed", "content_document", {"status__exact": "failed"}),
    "documents_held": ("Documents held", "content_document", {"status__exact": "held"}),
    "documents_removed": ("Documents removed", "content_document", {"status__exact": "removed"}),
    "failures_last_hour": ("Failed fetches, last hour", "core_event", {"name": "source.fetch_failed", "within": "1h"}),
    "jobs_backlog": ("Jobs waiting", "core_job", {"phase": "waiting"}),
    "jobs_executing": ("Jobs executing", "core_job", {"state__exact": "executing"}),
    "jobs_scheduled": ("Jobs for later", "core_job", {"phase": "later"}),
    "oldest_waiting_s": ("Longest wait, s", "core_job", {"phase": "waiting", "o": "scheduled_at"}),
    "interventions_active": ("Interventions in force", "vsm_interventionrecord", {"status__exact": "applied"}),
    "interventions_24h": ("Interventions, 24 h", "vsm_interventionrecord", {"within": "24h"}),
    "audit_sampled": ("Documents in last audit", "vsm_audit", {}),
    "audit_mismatches": ("Mismatches found", "vsm_audit", {}),
    "episodes_unresolved": ("Unresolved episodes", "vsm_episode", {"resolved": "no"}),
    "episodes_open": ("Episodes to analyse", "vsm_episode", {"status__exact": "open"}),
    "episodes_analyzing": ("Episodes in analysis", "vsm_episode", {"status__exact": "analyzing"}),
    "episodes_error": ("Episodes in error", "vsm_episode", {"status__exact": "error"}),
    "episodes_24h": ("Episodes, 24 h", "vsm_episode", {"within": "24h"}),
    "analysed_24h": ("Analysed, 24 h", "vsm_episode", {"within": "24h", "analysed": "yes"}),
    "policies_active": ("Active policies", "vsm_policy", {"active__exact": "1"}),
    "decisions_allow_24h": ("Allowed, 24 h", "vsm_decision", {"outcome__exact": "allow", "within": "24h"}),
    "decisions_deny_24h": ("Denied, 24 h", "vsm_decision", {"outcome__exact": "deny", "within": "24h"}),
    "decisions_error_24h": ("Errors, 24 h", "vsm_decision", {"outcome__exact": "error", "within": "24h"}),
}
_QUEUE_PREFIXES: Final = {"backlog_": ("waiting", "phase"), "executing_": ("executing", "state__exact")}


@dataclass(frozen=True)
class Figure:
    """One number; `url` opens the rows it was counted from ("" when nobody registered a list for it)."""

    key: str
    label: str
    value: int | float
    url: str


@dataclass(frozen=True)
class SystemView:
    """One system as last observed; `changed_at` is when state or figures last changed, None before the first look."""

    system: int
    code: str
    name: str
    state: str
    version: int
    changed_at: datetime | None
    figures: tuple[Figure, ...]


def vsm_picture() -> tuple[SystemView, ...]:
    """S1 to S5 of the current tenant from their newest rows; a system that was not observed yet says so."""
    rows = {row.system: row for row in current_states()}
    views = []
    for system in System:
        row = rows.get(system.value)
        code, _, name = str(system.label).partition(" ")
        views.append(
            SystemView(
                system=system.value,
                code=code,
                name=name,
                state=row.state if row else "not observed yet",
                version=row.version if row else 0,
                changed_at=row.created_at if row else None,
                figures=tuple(figure_for(key, row.figures[key]) for key in _in_order(row.figures)) if row else (),
            )
        )
    return tuple(views)


def _in_order(figures: Mapping[str, float]) -> list[str]:
    """The order of the table above, then queues, then what nobody listed (JSONB keeps no order of its own)."""
    rank = {key: place for place, key in enumerate(_SHOWN)}
    return sorted(figures, key=lambda key: (rank.get(key, len(rank)), key.rpartition("_")[2], key))


def figure_for(key: str, value: float) -> Figure:
    """A figure with its label and the list behind it."""
    for prefix, (phase, parameter) in _QUEUE_PREFIXES.items():
        if key.startswith(prefix):
            queue = key.removeprefix(prefix)
            url = _list_url("core_job", {"queue__exact": queue, parameter: phase})
            return Figure(key, f"{queue} {phase}", value, url)
    if key not in _SHOWN:
        return Figure(key, key.replace("_", " ").capitalize(), value, "")
    label, model, filters = _SHOWN[key]
    return Figure(key, label, value, _list_url(model, filters))


def _list_url(model: str, filters: Mapping[str, str]) -> str:
    url = reverse(f"admin:{model}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url
