"""Reading sources."""

from uuid import UUID

from django.db.models import Count, Q, QuerySet

from apps.content.errors import SourceMissing
from apps.content.models import Document, Source


def sources_with_counts() -> QuerySet[Source]:
    """Sources, newest first, with `documents_ready`, `documents_failed`, `documents_held` and `documents_total`."""
    live = ~Q(documents__status=Document.Status.REMOVED)
    return Source.objects.annotate(
        documents_total=Count("documents", filter=live),
        documents_ready=Count("documents", filter=Q(documents__status=Document.Status.READY)),
        documents_failed=Count("documents", filter=Q(documents__status=Document.Status.FAILED)),
        documents_held=Count("documents", filter=Q(documents__status=Document.Status.HELD)),
    ).order_by("-id")


def source_by_id(source_id: UUID) -> Source:
    """One source with its counts. Raises SourceMissing."""
    source = sources_with_counts().filter(pk=source_id).first()
    if source is None:
        raise SourceMissing(f"There is no source {source_id}.")
    return source
