"""Sources: where items come from, and whether anything is fetched from there at the moment."""

from uuid import UUID

from django.utils import timezone

from apps.content.errors import SourceMissing
from apps.content.events import SourcePaused, SourceResumed
from apps.content.locks import lock_source
from apps.content.models import Document, Source
from apps.content.tasks import enqueue_fetch
from apps.core.events import publish
from apps.core.tenancy import atomic
from apps.vsm.selectors import correlation_of_episode

UPLOADS_URI = "upload:"


def ensure_source(kind: Source.Kind, uri: str, *, name: str, rename: bool = False) -> Source:
    """The source with this URI, created under `name` when it is new; `rename` gives an old one the name too."""
    Source.objects.bulk_create([Source(kind=kind, uri=uri, name=name[:200])], ignore_conflicts=True)
    source = Source.objects.get(uri=uri)
    if rename and source.name != name[:200]:
        source.name = name[:200]
        source.save(update_fields=["name"])
    return source


def pause_source(source_id: UUID, *, reason: str, episode_id: UUID | None = None) -> None:
    """Stop fetching from a source; documents whose turn comes meanwhile are held. Pausing again changes nothing."""
    with atomic():
        source = _locked(source_id)
        if source.state == Source.State.PAUSED:
            return
        source.state = Source.State.PAUSED
        source.pause_reason = reason
        source.paused_at = timezone.now()
        source.paused_episode_id = episode_id
        source.save()
        publish(SourcePaused(source_id=source.pk, reason=reason, episode_id=episode_id))


def resume_source(source_id: UUID, *, actor: str) -> int:
    """Fetch from a source again, its held documents first. Returns how many those were."""
    with atomic():
        source = _locked(source_id)
        if source.state == Source.State.PAUSED:
            cause = correlation_of_episode(source.paused_episode_id) if source.paused_episode_id else None
            source.state = Source.State.ACTIVE
            source.pause_reason = ""
            source.paused_at = None
            source.paused_episode_id = None
            source.save()
            publish(SourceResumed(source_id=source.pk, actor=actor), correlation_id=cause)
        held = Document.objects.select_for_update().filter(source=source, status=Document.Status.HELD).order_by("pk")
        documents = list(held)
        for document in documents:
            document.status = Document.Status.PENDING
            document.attempts = 0
            document.job_id = enqueue_fetch(document.pk)
        Document.objects.bulk_update(documents, ["status", "attempts", "job_id"], batch_size=500)
        return len(documents)


def _locked(source_id: UUID) -> Source:
    source = lock_source(source_id)
    if source is None:
        raise SourceMissing(f"There is no source {source_id}.")
    return source
