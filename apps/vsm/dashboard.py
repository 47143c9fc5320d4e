"""What the console's overview shows, and the words of an episode's timeline."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from apps.core.events import topic_matches
from apps.core.models import Event, Job, JobState
from apps.core.tenancy import current_tenant
from apps.vsm import events, selectors
from apps.vsm.models import Episode

_TONES: Final[Mapping[str, str]] = {
    "operating": "console-good",
    "clear": "console-good",
    "flowing": "console-good",
    "steady": "console-good",
    "watching": "console-good",
    "governing": "console-good",
    "strained": "console-warn",
    "congested": "console-warn",
    "intervening": "console-warn",
    "analysing": "console-warn",
    "attentive": "console-warn",
    "unguided": "console-warn",
    "stalled": "console-bad",
    "blocked": "console-bad",
    "alarmed": "console-bad",
    "impaired": "console-bad",
    "erring": "console-bad",
}
_WORDS: Final[Mapping[str, str]] = {
    "source.fetch_failed": "{code}: {url} (attempt {attempt}). {detail}",
    "source.paused": "{reason}",
    "source.resumed": "by {actor}",
    "rule.matched": "{rule_name} v{rule_version}: {event_count} events within {window_s} s",
    "episode.created": "{title}",
    "episode.analyzed": "{method}, {risk_level} risk: {summary}",
    "episode.failed": "{step}: {code}. {detail}",
    "policy.evaluated": "{outcome} {action}: {reason}",
    "intervention.applied": "{action}",
    "intervention.failed": "{action} was refused: {code}. {detail}",
    "intervention.reverted": "{action}, by {actor}",
    "episode.resolved": "by {actor}: {resolution}",
}


@dataclass(frozen=True)
class TimelineLine:
    """One event in words; `own` marks the loop's own steps."""

    event: Event
    text: str
    own: bool


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The context of the console's first page: counted now or last observed, nothing else."""
    failed = (
        Job.objects.filter(
            tenant_id=current_tenant().id,
            state__in=(JobState.DISCARDED, JobState.QUARANTINED),
            finished_at__gt=timezone.now() - timedelta(hours=24),
        )
        .values("name", "cause_code")
        .annotate(count=Count("id"))
        .order_by("-count", "name")[:10]
    )
    systems = [{**asdict(view), "tone": _TONES.get(view.state, "")} for view in selectors.vsm_picture()]
    episodes = Episode.objects.filter(resolved_at__isnull=True).order_by("-id")[:10]
    return {**context, "systems": systems, "episodes": episodes, "failed_jobs": failed}


def unresolved_badge(request: HttpRequest) -> str:
    """The number beside "Episodes" in the sidebar."""
    return str(Episode.objects.filter(resolved_at__isnull=True).count())


def in_words(timeline: Sequence[Event]) -> list[TimelineLine]:
    """Each event's line; an event without words of its own shows its fields."""
    lines = []
    for event in timeline:
        words = _WORDS.get(event.name)
        fields = defaultdict(str, {key: str(value) for key, value in event.payload.items()})
        text = words.format_map(fields) if words else ", ".join(f"{key} {value}" for key, value in fields.items())
        own = any(topic_matches(topic, event.name) for topic in events.OWN_TOPICS)
        lines.append(TimelineLine(event=event, text=text[:600], own=own))
    return lines
