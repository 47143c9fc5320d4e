"""The viable system as a picture, its events, and the episodes it is working on."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.content.selectors.sources import sources_with_counts
from apps.core.events.log import events_after, log_position
from apps.gateway.pages.presenting import Happening, happenings
from apps.gateway.pages.shell import PageRequest, page, render_page
from apps.vsm.selectors import Figure, SystemView, episode_by_id, episode_timeline, episodes_visible, vsm_picture

EPISODES_SHOWN = 20
TICKER_EVENTS = 40
STATE_TONES = {
    "operating": "good",
    "clear": "good",
    "flowing": "good",
    "steady": "good",
    "watching": "good",
    "governing": "good",
    "analysing": "info",
    "strained": "warn",
    "congested": "warn",
    "intervening": "warn",
    "attentive": "warn",
    "stalled": "bad",
    "blocked": "bad",
    "alarmed": "bad",
    "impaired": "bad",
    "unguided": "bad",
    "erring": "bad",
}
RISK_TONES = {"low": "good", "medium": "warn", "high": "bad", "critical": "bad"}
# Members without the console reach the rows of these figures on the content page.
CONTENT_STATUS = {f"documents_{name}": name for name in ("ready", "pending", "processing", "failed", "held", "removed")}


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A number and where its rows are; `href` is empty for people who may not open the list."""

    key: str
    label: str
    value: int | float
    href: str


@dataclass(frozen=True, slots=True)
class ShownSystem:
    """One system's card and its colour in the picture."""

    system: int
    code: str
    name: str
    state: str
    tone: str
    changed_at: datetime | None
    figures: tuple[ShownFigure, ...]
    audit_tone: str


@dataclass(frozen=True, slots=True)
class Unit:
    """One operational unit of S1 in the picture, with the two figures its management box shows."""

    y: int
    name: str
    does: str
    first: ShownFigure | None
    first_label: str
    second: ShownFigure | None
    second_label: str


@dataclass(frozen=True, slots=True)
class ShownEpisode:
    """An episode with all that its card shows; `timeline` None = loaded when the card is opened."""

    episode: Any
    open: bool
    risk_tone: str
    decision: Any
    paused_source: Any
    timeline: list[Happening] | None


@require_GET
@page()
def vsm_page(request: PageRequest) -> HttpResponse:
    """The whole page."""
    context = _picture(request) | {"episodes": shown_episodes(), "events": _latest_events()}
    return render_page(request, "pages/vsm.html", context, section="system")


@require_GET
@page()
def picture_part(request: PageRequest) -> HttpResponse:
    """The picture alone, for a refresh."""
    return render_page(request, "parts/vsm_picture.html", _picture(request))


@require_GET
@page()
def episodes_part(request: PageRequest) -> HttpResponse:
    """The episodes alone, for a refresh."""
    return render_page(request, "parts/episodes.html", {"episodes": shown_episodes()})


@require_GET
@page()
def timeline_part(request: PageRequest, episode_id: UUID) -> HttpResponse:
    """What happened in one episode."""
    timeline = happenings(episode_timeline(episode_by_id(episode_id)))
    return render_page(request, "parts/timeline.html", {"timeline": timeline})


def _picture(request: PageRequest) -> dict[str, Any]:
    console = request.principal.has_role("operator")
    systems = [_system(view, console=console) for view in vsm_picture()]
    figures = {figure.key: figure for system in systems for figure in system.figures}
    unresolved = figures.get("episodes_unresolved")
    return {
        "systems": systems,
        "units": _units(figures),
        "f": figures,
        "pain": bool(unresolved and unresolved.value),
        **{f"s{system.system}": system for system in systems},
    }


def _system(view: SystemView, *, console: bool) -> ShownSystem:
    figures = tuple(_figure(figure, console=console) for figure in view.figures)
    values = {figure.key: figure.value for figure in figures}
    audited = "good" if values.get("audit_sampled") else ""
    return ShownSystem(
        system=view.system,
        code=view.code,
        name=view.name,
        state=view.state,
        tone=STATE_TONES.get(view.state, ""),
        changed_at=view.changed_at,
        figures=figures,
        audit_tone="bad" if values.get("audit_mismatches") else audited,
    )


def _figure(figure: Figure, *, console: bool) -> ShownFigure:
    href = figure.url if console else ""
    if not href and figure.key in CONTENT_STATUS:
        href = f"{reverse('pages:ingest')}?status={CONTENT_STATUS[figure.key]}"
    return ShownFigure(figure.key, figure.label, figure.value, href)


def _units(figures: dict[str, ShownFigure]) -> list[Unit]:
    rows = (
        ("Sources", "connect", "sources_active", "active", "sources_paused", "paused"),
        ("Ingest", "understand", "documents_processing", "in work", "documents_failed", "failed"),
        ("Library", "serve", "documents_ready", "ready", "documents_held", "held"),
    )
    return [
        Unit(578 + 138 * n, name, does, figures.get(first), first_label, figures.get(second), second_label)
        for n, (name, does, first, first_label, second, second_label) in enumerate(rows)
    ]


def _latest_events() -> list[Happening]:
    after = max(0, log_position().last_seq - TICKER_EVENTS)
    return happenings(reversed(events_after(after, limit=TICKER_EVENTS)))


def shown_episodes() -> list[ShownEpisode]:
    """The newest episodes; those that need someone come open, with their timeline."""
    episodes = list(episodes_visible().prefetch_related("decisions")[:EPISODES_SHOWN])
    paused = _paused_sources(episode.subject_id for episode in episodes if episode.resolved_at is None)
    return [
        ShownEpisode(
            episode=episode,
            open=episode.resolved_at is None,
            risk_tone=RISK_TONES.get(episode.risk_level, ""),
            decision=next(iter(episode.decisions.all()), None),
            paused_source=paused.get(episode.subject_id) if episode.resolved_at is None else None,
            timeline=happenings(episode_timeline(episode)) if episode.resolved_at is None else None,
        )
        for episode in episodes
    ]


def _paused_sources(subjects: Iterable[str]) -> dict[str, Any]:
    wanted = set(subjects)
    return {str(row.pk): row for row in sources_with_counts().filter(state="paused") if str(row.pk) in wanted}
