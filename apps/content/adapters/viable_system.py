"""Content as S1: it can be paused, counted and audited."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.db.models import Count
from django.utils import timezone

from apps.content.events import SourceFetchFailed
from apps.content.models import Blob, Chunk, Document, Source
from apps.content.services import sources
from apps.core.models import Event
from apps.core.tenancy import current_tenant
from apps.intelligence.selectors import labels_present
from apps.storage.errors import StorageError
from apps.storage.services import retrieve_bytes
from apps.vsm.ports import AuditFinding, AuditSample


class PauseSource:
    """S3 stops fetching from one source; an operator resumes it."""

    name = "pause_source"

    def apply(self, target_id: UUID, *, reason: str, episode_id: UUID) -> None:
        sources.pause_source(target_id, reason=reason, episode_id=episode_id)

    def revert(self, target_id: UUID, *, actor: str) -> None:
        sources.resume_source(target_id, actor=actor)


class ContentOperations:
    """Counts of sources, documents and failed fetches."""

    def figures(self) -> Mapping[str, int | float]:
        by_state = dict(Source.objects.values_list("state").annotate(n=Count("pk")))
        documents = dict(Document.objects.values_list("status").annotate(n=Count("pk")))
        hour_ago = timezone.now() - timedelta(hours=1)
        failures = Event.objects.filter(
            tenant_id=current_tenant().id, name=SourceFetchFailed.name, occurred_at__gte=hour_ago
        ).count()
        return {
            **{f"sources_{state}": by_state.get(state, 0) for state in Source.State.values},
            **{f"documents_{status}": documents.get(status, 0) for status in Document.Status.values},
            "failures_last_hour": failures,
        }


class IndexedContent:
    """Audit: a ready document's file is whole, its passages match its text, and every passage has its vector."""

    def audit(self, sample_size: int) -> AuditSample:
        ready = Document.objects.filter(status=Document.Status.READY, blob__isnull=False)
        sample = list(ready.select_related("blob").order_by("?")[:sample_size])
        findings = [finding for document in sample if document.blob for finding in _check(document, document.blob)]
        return AuditSample(population=ready.count(), sampled=len(sample), findings=tuple(findings))


def _check(document: Document, blob: Blob) -> list[AuditFinding]:
    subject, findings = str(document.pk), []
    try:
        retrieve_bytes(blob.artifact_path)
    except StorageError as error:
        findings.append(AuditFinding(subject, error.code, error.detail))
    chunks = list(Chunk.objects.filter(blob=blob).only("start", "end", "text", "label"))
    torn = sum(1 for chunk in chunks if blob.text[chunk.start : chunk.end] != chunk.text)
    if torn:
        findings.append(AuditFinding(subject, "chunk_offsets", f"{torn} passages do not match the text."))
    present = labels_present([chunk.label for chunk in chunks if chunk.label is not None])
    missing = sum(1 for chunk in chunks if chunk.label not in present)
    if missing:
        findings.append(AuditFinding(subject, "embedding_missing", f"{missing} passages have no vector."))
    return findings
