"""Taking in the files of a folder in batches. The files arrive already read: nothing here opens a path."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from uuid import UUID

from django.db.models import QuerySet

from apps.content.conf import ingest_settings
from apps.content.extraction import ExtractionError, media_type_of
from apps.content.locks import lock_documents, lock_runs
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
            _ingest_batch(source, run, batch, outcome)
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


def _ingest_batch(source: Source, run: IngestRun, batch: list[FileItem], outcome: FilesIngested) -> None:
    """One transaction over some files: documents, blobs and jobs."""
    ids = [item.external_id for item in batch]
    present = Document.objects.filter(source=source, external_id__in=ids)
    lock_runs({run.pk} | {run_id for run_id in present.values_list("run_id", flat=True) if run_id is not None})
    known = {document.external_id: document for document in lock_documents(present.values_list("pk", flat=True))}
    created: list[Document] = []
    queued: list[Document] = []
    changed: list[Document] = []
    released: dict[UUID, int] = {}
    unchanged = 0
    failures: list[tuple[Document, str, str]] = []
    for item in sorted(batch, key=lambda item: item.external_id):
        document = known.get(item.external_id)
        is_new = document is None
        if document is None:
            document = Document(source=source, external_id=item.external_id, uri=item.uri)
        verdict = _judge(item, document)
        if isinstance(verdict, _Unchanged):
            unchanged += 1
            continue
        if not is_new and document.run_id not in {None, run.pk}:
            released[document.run_id] = released.get(document.run_id, 0) + 1
        document.run = run
        (created if is_new else changed).append(document)
        if isinstance(verdict, _Refused):
            failures.append((document, verdict.code, verdict.detail))
        elif not verdict.in_progress:
            queued.append(document)
    Document.objects.bulk_create(created, batch_size=500)
    for document, job_id in zip(
        queued,
        enqueue_many(extract_document, [{"document_id": row.pk, "content_hash": row.content_hash} for row in queued]),
        strict=True,
    ):
        document.job_id = job_id
    Document.objects.bulk_update(
        [*created, *changed],
        ["run", "content_hash", "media_type", "status", "stage", "progress", "attempts", "error_code", "error_detail",
         "removed_at", "fetched_at", "job_id"],
        batch_size=200,
    )  # fmt: skip
    release_from_runs(released)
    run.unchanged += unchanged
    run.save(update_fields=["unchanged"])
    for document, code, detail in failures:
        record_failure(document, code=code, detail=detail)
    outcome.unchanged += unchanged
    outcome.queued += len(queued)
    outcome.refused += len(failures)


@dataclass(frozen=True)
class _Unchanged:
    pass


@dataclass(frozen=True)
class _Refused:
    code: str
    detail: str


@dataclass(frozen=True)
class _Accepted:
    """`in_progress`: the same content is being processed already."""

    in_progress: bool


def _judge(item: FileItem, document: Document) -> _Unchanged | _Refused | _Accepted:
    """Compare a file with what its document has; store new content and prepare the document for it."""
    data, kind = item.data, _kind_of(item)
    if data is None or isinstance(kind, _Refused):
        return kind if isinstance(kind, _Refused) else _Refused(item.code, item.problem)
    hash_ = content_hash(data, kind)
    if is_served(document, hash_):
        return _Unchanged()
    if document.content_hash == hash_ and document.status in UNFINISHED:
        return _Accepted(in_progress=True)
    store_blob(data, hash_=hash_, media_type=kind, charset=None)
    prepare_document(document, hash_, kind)
    return _Accepted(in_progress=False)


def _kind_of(item: FileItem) -> str | _Refused:
    """The file's media type, or why it is not taken in."""
    limit = ingest_settings().max_document_bytes
    if item.data is None:
        return _Refused(item.code, item.problem)
    if len(item.data) > limit:
        return _Refused("body_too_large", f"The file has more than {limit} bytes.")
    if not item.data.strip():
        return _Refused("document_empty", "The file is empty.")
    try:
        return media_type_of(item.data, declared="", filename=PurePosixPath(item.external_id).name)
    except ExtractionError as error:
        return _Refused(error.code, error.detail)


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
