"""What templates need beyond Django's own tags: icons, and figures written the way people read them."""

from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

KIND_ICONS = {"upload": "upload", "web": "globe", "path": "folder", "builtin": "book"}
STATUS_TONES = {
    "ready": "good",
    "completed": "good",
    "active": "good",
    "resolved": "good",
    "analyzed": "info",
    "decided": "info",
    "analyzing": "info",
    "processing": "info",
    "running": "info",
    "open": "warn",
    "held": "warn",
    "paused": "warn",
    "failed": "bad",
    "error": "bad",
}
MEDIA_LABELS = {
    "text/html": "HTML",
    "application/xhtml+xml": "HTML",
    "text/markdown": "Markdown",
    "text/plain": "Text",
    "application/pdf": "PDF",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of the sprite; decorative, so hidden from assistive technology."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        static("img/icons.svg"),
        name,
    )


@register.filter
def kind_icon(kind: str) -> str:
    """The icon of a source kind."""
    return KIND_ICONS.get(kind, "content")


@register.filter
def tone(status: str) -> str:
    """The badge colour of a status; empty (neutral) for those that need no attention."""
    return STATUS_TONES.get(status, "")


@register.filter
def media(value: str) -> str:
    """A media type as people call it."""
    return MEDIA_LABELS.get(value, value.rsplit("/", 1)[-1] if value else "Unknown")


@register.filter
def number(value: float | None) -> str:
    """1234567 as 1,234,567; at most one decimal."""
    if value is None:
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}"
    return f"{int(value):,}"


@register.filter
def percent(value: float | None) -> str:
    """A share of 1 as a whole percentage."""
    return "–" if value is None else f"{round(value * 100)}%"


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as the two largest units."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A <time> with the moment in its title; scripts keep the wording current."""
    if moment is None:
        return "–"
    elapsed_s = (timezone.now() - moment).total_seconds()
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        _elapsed(elapsed_s),
    )


def _elapsed(seconds: float) -> str:
    if seconds < 45:
        return "just now"
    for unit_s, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= unit_s:
            count = int(seconds // unit_s)
            return f"{count} {name}{'s' if count != 1 else ''} ago"
    return "1 minute ago"
