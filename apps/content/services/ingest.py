"""Bringing content in: a URL or an upload. Folders are in services.folders."""

import unicodedata
from urllib.parse import quote

from apps.content.conf import ingest_settings
from apps.content.errors import FilenameInvalid, UploadTooLarge
from apps.content.extraction import DocumentEmpty, media_type_of
from apps.content.locks import lock_document
from apps.content.models import Document, IngestRun, Source
from apps.content.services.blobs import content_hash, store_blob
from apps.content.services.folders import FileItem, FilesIngested, ingest_files
from apps.content.services.outcomes import complete_run_when_done
from apps.content.services.runs import UNFINISHED, is_served, move_to_run, prepare_document, start_run
from apps.content.services.sources import UPLOADS_URI, ensure_source
from apps.content.tasks import enqueue_extract, enqueue_fetch
from apps.core.egress import UrlInvalid, check_url
from apps.core.tenancy import atomic

__all__ = ["FileItem", "FilesIngested", "clean_filename", "ingest_files", "ingest_upload", "ingest_url"]


def ingest_url(url: str, *, source_name: str | None = None) -> IngestRun:
    """Fetch one URL in the background; again, it is fetched again and only processed when it has changed.

    Raises EgressError for a URL that is refused without asking the network.
    """
    checked = check_url(url)
    uri = str(checked)
    if len(uri) > ingest_settings().max_uri_chars:
        raise UrlInvalid(f"The URL is longer than {ingest_settings().max_uri_chars} characters.")
    with atomic():
        source = ensure_source(
            Source.Kind.WEB, checked.origin, name=source_name or checked.netloc, rename=bool(source_name)
        )
        run = start_run(source, origin=uri, total=1)
        document = _document_of(source, uri, uri=uri)
        if document.status not in UNFINISHED or document.stage == Document.Stage.FETCH:
            document.status = Document.Status.PENDING
            document.stage = Document.Stage.FETCH
            document.progress = 0.0
            document.attempts = 0
            document.error_code = document.error_detail = ""
            document.removed_at = None
            document.job_id = enqueue_fetch(document.pk)
        move_to_run(document, run)
        document.save()
    return run


def ingest_upload(filename: str, data: bytes, media_type: str) -> IngestRun:
    """Take in one uploaded file. Equal content under an equal name is the same document.

    Raises UploadTooLarge, FilenameInvalid, DocumentEmpty, ContentTypeMismatch, UnsupportedMediaType, StorageError.
    """
    name = clean_filename(filename)
    limit = ingest_settings().max_document_bytes
    if len(data) > limit:
        raise UploadTooLarge(f"A file may have at most {limit} bytes.", limit_bytes=limit)
    if not data:
        raise DocumentEmpty("The file is empty.")
    kind = media_type_of(data, declared=media_type, filename=name)
    hash_ = content_hash(data, kind)
    with atomic():
        source = ensure_source(Source.Kind.UPLOAD, UPLOADS_URI, name="Uploads")
        run = start_run(source, origin=name, total=1)
        document = _document_of(source, f"{hash_}/{name}", uri="")
        document.uri = f"{UPLOADS_URI}{document.pk}/{quote(name)}"
        document.title = document.title or name
        move_to_run(document, run)
        if is_served(document, hash_):
            _settle_unchanged(document, run)
        else:
            store_blob(data, hash_=hash_, media_type=kind, charset=_charset_of(media_type))
            prepare_document(document, hash_, kind)
            document.job_id = enqueue_extract(document.pk, hash_)
            document.save()
    return run


def clean_filename(raw: str) -> str:
    """The last part of a client's file name, without invisible characters. Raises FilenameInvalid."""
    name = unicodedata.normalize("NFC", raw.encode("utf-8", "replace").decode()).replace("\\", "/").rpartition("/")[2]
    name = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}).strip()
    if name in {"", ".", ".."}:
        raise FilenameInvalid("The file needs a name.")
    limit = ingest_settings().max_filename_bytes
    if len(name.encode()) > limit:
        raise FilenameInvalid(f"The file name has more than {limit} bytes.")
    return name


def _charset_of(media_type: str) -> str | None:
    for part in media_type.split(";")[1:]:
        key, _, value = part.strip().partition("=")
        if key.lower() == "charset" and value:
            return value.strip("\"' ")[:40]
    return None


def _document_of(source: Source, external_id: str, *, uri: str) -> Document:
    """The locked document of one item, created when it is new."""
    Document.objects.bulk_create([Document(source=source, external_id=external_id, uri=uri)], ignore_conflicts=True)
    document_id = Document.objects.values_list("pk", flat=True).get(source=source, external_id=external_id)
    document = lock_document(document_id)
    if document is None:
        raise Document.DoesNotExist(f"document {document_id} went while it was being written")
    return document


def _settle_unchanged(document: Document, run: IngestRun) -> None:
    document.save()
    complete_run_when_done(run.pk)
