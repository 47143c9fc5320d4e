"""Row locks of content. Order: the source, runs, then documents, then blobs, each by primary key."""

from collections.abc import Collection
from hashlib import blake2b
from uuid import UUID

from django.db import connections

from apps.content.models import Blob, Document, IngestRun, Source
from apps.core.tenancy import alias_in_force, current_tenant


def lock_runs(run_ids: Collection[UUID]) -> dict[UUID, IngestRun]:
    """Lock runs; whoever holds one decides alone whether it is complete."""
    rows = IngestRun.objects.select_for_update().filter(pk__in=run_ids).order_by("pk")
    return {run.pk: run for run in rows}


def lock_document(document_id: UUID) -> Document | None:
    """Lock one document and the run it belongs to; None when it is gone."""
    run_id = Document.objects.filter(pk=document_id).values_list("run_id", flat=True).first()
    if run_id is not None:
        lock_runs([run_id])
    rows = Document.objects.select_for_update(of=("self",)).select_related("source")
    return rows.filter(pk=document_id).first()


def lock_documents(document_ids: Collection[UUID]) -> list[Document]:
    """Lock documents; the caller holds their runs."""
    rows = Document.objects.select_for_update(of=("self",)).select_related("blob")
    return list(rows.filter(pk__in=document_ids).order_by("pk"))


def lock_source(source_id: UUID) -> Source | None:
    return Source.objects.select_for_update().filter(pk=source_id).first()


def lock_blob(blob_id: UUID) -> Blob | None:
    return Blob.objects.select_for_update().filter(pk=blob_id).first()


def hold_blobs(hashes: Collection[str]) -> set[str]:
    """Keep these contents from being dropped until the transaction ends; returns the ones that are there."""
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(
            "SELECT content_hash FROM content_blob WHERE content_hash = ANY(%s) ORDER BY id FOR KEY SHARE",
            [list(hashes)],
        )
        return {row[0] for row in cursor.fetchall()}


def lock_content(content_hash: str) -> None:
    """Until the transaction ends, nobody else creates or drops the blob of this content."""
    key = blake2b(f"content:{current_tenant().id}:{content_hash}".encode(), digest_size=8).digest()
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key, "big", signed=True)])
