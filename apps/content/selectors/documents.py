"""Reading documents. Inside a tenant every member may read every document."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from apps.content.errors import DocumentMissing
from apps.content.models import Chunk, Document


@dataclass(frozen=True)
class DocumentContent:
    """The normalised text that every offset counts in. `headings` are (level, text, start)."""

    document: Document
    text: str
    language: str
    headings: list[tuple[int, str, int]]


def documents_visible() -> QuerySet[Document]:
    """Documents that were not removed, with source and blob header, newest first."""
    return (
        Document.objects.exclude(status=Document.Status.REMOVED)
        .select_related("source", "blob")
        .defer("blob__text", "blob__metadata")
        .order_by("-id")
    )


def document_by_id(document_id: UUID) -> Document:
    """Raises DocumentMissing."""
    document = documents_visible().select_related("container").filter(pk=document_id).first()
    if document is None:
        raise DocumentMissing(f"There is no document {document_id}.")
    return document


def content_of_document(document_id: UUID) -> DocumentContent:
    """Raises DocumentMissing, also when nothing has been read from the document yet."""
    found = documents_visible().defer(None).filter(pk=document_id).first()
    if found is None or found.blob is None:
        raise DocumentMissing(f"There is no readable document {document_id}.")
    headings = [(int(level), str(text), int(start)) for level, text, start in found.blob.metadata.get("headings", [])]
    return DocumentContent(found, found.blob.text, found.blob.language, headings)


def chunks_of_document(document: Document) -> QuerySet[Chunk]:
    """The passages of a document in their order."""
    return Chunk.objects.filter(blob__documents=document).order_by("ordinal").defer("tsv")


def failed_documents_of_run(run_id: UUID, *, limit: int = 100) -> Sequence[Document]:
    """What went wrong in a run, with causes."""
    return list(Document.objects.filter(run_id=run_id, status=Document.Status.FAILED).order_by("pk")[:limit])


def document_ids_of_run(run_id: UUID, *, limit: int = 1000) -> list[UUID]:
    return list(Document.objects.filter(run_id=run_id).order_by("pk").values_list("pk", flat=True)[:limit])
