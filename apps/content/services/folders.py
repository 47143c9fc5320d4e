"""Taking in the files of a folder in batches. The files arrive already read: nothing here opens a path."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from django.db.models import QuerySet

from apps.content.conf import ingest_settings
from apps.content.extraction import ExtractionError, media_type_of
from apps.content.locks import hold_blobs, lock_documents, lock_runs, lock_source
from apps.content.models import Document, IngestRun, Source
from apps.content.services.blobs import content_hash, store_blob
from apps.content.services.documents import remove_document
from apps.content.services.outcomes import complete_run_when_done, record_failure
from apps.content.services.runs import (
    UNFINISHED,
    abandon_interrupted_runs,
    is_served,
    prepare_document,
    release_from_runs,
    start_run,
)
from apps.content.services.sources import ensure_source
from apps.content.tasks import extract_document
from apps.core.jobs.queueing import enqueue_many
from apps.core.tenancy import atomic


@dataclass(frozen=True)
class FileItem:
    """One file of a folder. `external_id` is its path below the folder; `data` is None when it could not be read."""

    external_id: str
    uri: str
    data: bytes | None
    code: str = "file_unreadable"
    problem: str = ""


@dataclass
class FilesIngested:
    """What a folder's ingest set in motion. `kept` documents lost their file but were not removed, see ingest_files."""

    run: IngestRun
    queued: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0
    kept: list[str] = field(default_factory=list)


def ingest_files(
    root_uri: str,
    items: Iterable[FileItem],
    *,
    total: int,
    source_name: str,
    rename: bool = False,
    kind: Source.Kind = Source.Kind.PATH,
    whole: bool = True,
    prune: bool = False,
    on_item: Callable[[], None] = lambda: None,
) -> FilesIngested:
    """Take in `total` files of a folder in batches: unchanged ones cost a hash, others go through the stages.

    With `whole` the items are all the folder has: documents of files that are gone are removed, unless that is more
    than half of more than ten, which `prune` has to confirm.
    """
    source = ensure_source(kind, root_uri, name=source_name, rename=rename)
    with atomic():
        abandon_interrupted_runs(source)
        run = start_run(source, origin=root_uri, total=total)
    outcome = FilesIngested(run)
    seen: set[str] = set()
    known_before = set(_live_documents(source).values_list("external_id", flat=True))
    for batch in _batches(items):
        seen.update(item.external_id for item in batch)
        with atomic():
            files = _store_batch(source, batch)
        with atomic():
            _record_batch(source, run, files, outcome)
        for _ in batch:
            on_item()
    if whole:
        _remove_vanished(source, known_before - seen, len(known_before), outcome, prune=prune)
    with atomic():
        lock_runs([run.pk])
        IngestRun.objects.filter(pk=run.pk).update(total=len(seen), removed=outcome.removed)
        complete_run_when_done(run.pk)
    run.refresh_from_db()
    return outcome


def _batches(items: Iterable[FileItem]) -> Iterator[list[FileItem]]:
    """Lists of files small enough for one transaction and for memory; a path given twice counts once."""
    conf = ingest_settings()
    seen: set[str] = set()
    batch: list[FileItem] = []
    size = 0
    for item in items:
        if item.external_id in seen:
            continue
        seen.add(item.external_id)
        batch.append(item)
        size += len(item.data or b"")
        if len(batch) >= conf.batch_documents or size >= conf.batch_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@dataclass(frozen=True)
class _Read:
    """A file with its media type and content hash, or with why it is not taken in."""

    item: FileItem
    kind: str = ""
    hash_: str = ""
    code: str = ""
    detail: str = ""


@dataclass
class _Batch:
    """What one transaction is going to write."""

    created: list[Document] = field(default_factory=list)
    changed: list[Document] = field(default_factory=list)
    queued: list[Document] = field(default_factory=list)
    refused: list[tuple[Document, _Read]] = field(default_factory=list)
    released: Counter[UUID] = field(default_factory=Counter)
    unchanged: int = 0


def _store_batch(source: Source, items: list[FileItem]) -> list[_Read]:
    """Judge files and store the content that is new, before anything is locked that workers need."""
    ids = [item.external_id for item in items]
    present = Document.objects.filter(source=source, external_id__in=ids).select_related("blob")
    known = {document.external_id: document for document in present}
    files = [_read(item) for item in items]
    for file in sorted(files, key=lambda file: file.hash_):
        document = known.get(file.item.external_id)
        if file.code or file.item.data is None or (document is not None and _has(document, file.hash_)):
            continue
        store_blob(file.item.data, hash_=file.hash_, media_type=file.kind, charset=None)
    return files


def _record_batch(source: Source, run: IngestRun, files: list[_Read], outcome: FilesIngested) -> None:
    """Documents and jobs of stored files. Holds the run as briefly as it can: workers end their documents under it."""
    lock_source(source.pk)
    present = Document.objects.filter(source=source, external_id__in=[file.item.external_id for file in files])
    lock_runs({run.pk} | {run_id for run_id in present.values_list("run_id", flat=True) if run_id is not None})
    known = {document.external_id: document for document in lock_documents(present.values_list("pk", flat=True))}
    held = hold_blobs([file.hash_ for file in files if file.hash_])
    batch = _Batch()
    for file in files:
        _plan(file, known.get(file.item.external_id), source, run, held, batch)
    Document.objects.bulk_create(batch.created, batch_size=500)
    arguments = [{"document_id": row.pk, "content_hash": row.content_hash} for row in batch.queued]
    for document, job_id in zip(batch.queued, enqueue_many(extract_document, arguments), strict=True):
        document.job_id = job_id
    Document.objects.bulk_update([*batch.created, *batch.changed], _WRITTEN, batch_size=200)
    release_from_runs(batch.released)
    run.unchanged += batch.unchanged
    run.save(update_fields=["unchanged"])
    for document, file in batch.refused:
        record_failure(document, code=file.code, detail=file.detail)
    outcome.unchanged += batch.unchanged
    outcome.queued += len(batch.queued)
    outcome.refused += len(batch.refused)


_WRITTEN = (
    "run", "content_hash", "media_type", "status", "stage", "progress", "attempts", "error_code", "error_detail",
    "removed_at", "fetched_at", "job_id",
)  # fmt: skip


def _plan(
    file: _Read, document: Document | None, source: Source, run: IngestRun, held: set[str], batch: _Batch
) -> None:
    """Decide what one file means for its locked document, or for a new one."""
    if document is not None and not file.code and is_served(document, file.hash_):
        batch.unchanged += 1
        return
    if document is None:
        document = Document(source=source, external_id=file.item.external_id, uri=file.item.uri)
        batch.created.append(document)
    else:
        batch.changed.append(document)
        if document.run_id is not None and document.run_id != run.pk:
            batch.released[document.run_id] += 1
    document.run = run
    if file.code:
        batch.refused.append((document, file))
    elif not _has(document, file.hash_):
        if file.hash_ not in held and file.item.data is not None:  # dropped since it was stored
            store_blob(file.item.data, hash_=file.hash_, media_type=file.kind, charset=None)
        prepare_document(document, file.hash_, file.kind)
        batch.queued.append(document)


def _has(document: Document, hash_: str) -> bool:
    """Whether the document has this content already, or is on its way to it."""
    return is_served(document, hash_) or (document.content_hash == hash_ and document.status in UNFINISHED)


def _read(item: FileItem) -> _Read:
    limit = ingest_settings().max_document_bytes
    if item.data is None:
        return _Read(item, code=item.code, detail=item.problem)
    if len(item.data) > limit:
        return _Read(item, code="body_too_large", detail=f"The file has more than {limit} bytes.")
    if not item.data.strip():
        return _Read(item, code="document_empty", detail="The file is empty.")
    try:
        kind = media_type_of(item.data, declared="", filename=PurePosixPath(item.external_id).name)
    except ExtractionError as error:
        return _Read(item, code=error.code, detail=error.detail)
    return _Read(item, kind, content_hash(item.data, kind))


def _live_documents(source: Source) -> QuerySet[Document]:
    return Document.objects.filter(source=source).exclude(status=Document.Status.REMOVED)


def _remove_vanished(source: Source, vanished: set[str], known: int, outcome: FilesIngested, *, prune: bool) -> None:
    conf = ingest_settings()
    many = len(vanished) > conf.prune_guard_floor and len(vanished) > known * conf.prune_guard_share
    if many and not prune:
        outcome.kept = sorted(vanished)
        return
    for document_id in _live_documents(source).filter(external_id__in=vanished).values_list("pk", flat=True):
        remove_document(document_id, reason="file_gone")
        outcome.removed += 1
