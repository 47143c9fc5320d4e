"""The pipeline on real PostgreSQL and storage, with a real loopback server for what is fetched."""

import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from apps.content.errors import DocumentMissing, DocumentNotRetryable, FilenameInvalid, RunFinished, UploadTooLarge
from apps.content.extraction import ContentTypeMismatch, DocumentEmpty, UnsupportedMediaType
from apps.content.models import Blob, Chunk, Document, IngestRun, SemanticContainer, Source
from apps.content.selectors.documents import content_of_document
from apps.content.selectors.runs import run_progress
from apps.content.services.blobs import sweep_unused_blobs
from apps.content.services.documents import remove_document, retry_document
from apps.content.services.ingest import clean_filename, ingest_upload, ingest_url
from apps.content.services.runs import cancel_run
from apps.content.services.sources import pause_source, resume_source
from apps.content.tasks import extract_document, fetch_document, index_document
from apps.core.egress import UrlForbiddenAddress
from apps.core.models import Event, Job
from apps.core.tenancy import TenantRef, in_tenant
from apps.intelligence import ports
from apps.intelligence.conf import intelligence_settings
from apps.intelligence.models import Embedding
from apps.storage import services as storage
from apps.storage.models import Artifact
from tests.content.embedding import HashEmbedder
from tests.factories.loopback import LOOPBACK, Server, reply, serving

Drain = Callable[[TenantRef], int]

PAGE = b"<html lang=en><title>Pumps</title><h1>Pumps</h1><p>A pump moves water uphill.</p><h2>Care</h2><p>Oil it.</p>"


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> HashEmbedder:
    twin = HashEmbedder()
    monkeypatch.setitem(ports._embedders, intelligence_settings().embedding_model, twin)
    return twin


@pytest.fixture
def open_loopback() -> Iterator[None]:
    with override_settings(EGRESS_ALLOW_CIDRS=LOOPBACK):
        yield


class Site:
    """A web site whose answers a test can change."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.status = "200 OK"
        self.conditional = 0

    def __call__(self, peer: socket.socket, path: str, headers: dict[str, str]) -> None:
        page = self.pages.get(path)
        if page is None or not self.status.startswith("200"):
            reply(peer, status=self.status if page is not None else "404 Not Found")
            return
        etag = f'"{hash(page)}"'
        if headers.get("if-none-match") == etag:
            self.conditional += 1
            reply(peer, status="304 Not Modified", ETag=etag)
            return
        reply(peer, page, Content_Type="text/html; charset=utf-8", ETag=etag)


@pytest.fixture
def site(open_loopback: None) -> Iterator[tuple[Site, Server]]:
    answers = Site()
    with serving(answers) as server:
        yield answers, server


def events(name: str) -> list[dict[str, Any]]:
    return list(Event.objects.filter(name=name).order_by("occurred_at", "id").values_list("payload", flat=True))


def only_document() -> Document:
    return Document.objects.select_related("blob", "source", "run").get()


def searchable() -> list[str]:
    """Titles of what search may show."""
    rows = SemanticContainer.objects.filter(active=True, document__blob__state="indexed")
    return sorted(rows.values_list("title", flat=True))


# --- The whole way -----------------------------------------------------------------------------------------------------


def test_an_upload_goes_all_the_way_once(in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder) -> None:
    run = ingest_upload("pumps.html", PAGE, "text/html")
    assert run_progress(run.pk).pending == 1
    drain(in_new_tenant)
    document = only_document()
    assert (document.status, document.stage, document.progress) == ("ready", "done", 1.0)
    assert (document.title, document.media_type, document.error_code) == ("Pumps", "text/html", "")
    assert document.blob is not None
    assert (document.blob.language, document.blob.state) == ("en", "indexed")
    chunks = list(Chunk.objects.order_by("ordinal"))
    assert [document.blob.text[row.start : row.end] for row in chunks] == [row.text for row in chunks]
    assert all(row.label for row in chunks)
    assert Embedding.objects.count() == len(embedder.embedded) == len(chunks)
    assert storage.retrieve_bytes(document.blob.artifact_path) == PAGE
    container = SemanticContainer.objects.get()
    assert (container.document_id, container.active, container.content_type) == (document.pk, True, "text/html")
    assert container.provenance["content_hash"] == document.content_hash
    assert content_of_document(document.pk).headings == [(1, "Pumps", 0), (2, "Care", 35)]
    run.refresh_from_db()
    assert (run.status, run.total) == ("completed", 1)
    assert [event["stage"] for event in events("document.advanced")] == ["embed"]
    assert events("document.indexed") == [
        {
            "document_id": str(document.pk),
            "container_id": str(container.pk),
            "run_id": str(run.pk),
            "source_id": str(document.source_id),
            "chunk_count": len(chunks),
            "embedded_count": len(chunks),
        }
    ]
    assert events("ingest.completed") == [
        {"run_id": str(run.pk), "source_id": str(document.source_id), "indexed": 1, "failed": 0}
    ]
    assert set(Event.objects.exclude(name__startswith="system").values_list("correlation_id", flat=True)) == {
        run.correlation_id
    }


def test_every_step_may_run_twice(in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder) -> None:
    ingest_upload("pumps.html", PAGE, "text/html")
    drain(in_new_tenant)
    document = only_document()
    before = (Chunk.objects.count(), len(embedder.embedded), Event.objects.filter(name="document.indexed").count())
    args = json.loads(json.dumps({"document_id": str(document.pk), "content_hash": document.content_hash}))
    extract_document.run(args)
    index_document.run(args)
    index_document.run(args | {"content_hash": "0" * 64})
    index_document.run(args | {"document_id": str(uuid4())})
    drain(in_new_tenant)
    assert (Chunk.objects.count(), len(embedder.embedded)) == before[:2]
    assert Event.objects.filter(name="ingest.completed").count() == 1
    document.refresh_from_db()
    assert document.status == "ready"


def test_equal_content_is_one_blob_and_stays_for_the_other_document(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder
) -> None:
    ingest_upload("a.html", PAGE, "text/html")
    drain(in_new_tenant)
    embedded = len(embedder.embedded)
    ingest_upload("b.html", PAGE, "text/html")
    ingest_upload("b.html", PAGE, "text/html")
    drain(in_new_tenant)
    assert Document.objects.filter(status="ready").count() == 2
    assert (Blob.objects.count(), Artifact.objects.count(), len(embedder.embedded)) == (1, 1, embedded)
    first, second = Document.objects.order_by("pk")
    remove_document(first.pk, reason="test")
    assert searchable() == ["Pumps"]
    assert Blob.objects.count() == 1
    remove_document(second.pk, reason="test")
    remove_document(second.pk, reason="again")
    assert searchable() == []
    assert [model.objects.count() for model in (Blob, Chunk, Embedding, Artifact)] == [0, 0, 0, 0]
    assert [event["reason"] for event in events("document.removed")] == ["test", "test"]


def test_the_same_bytes_as_another_format_are_other_content(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder
) -> None:
    ingest_upload("a.md", b"# One\n\ntext", "text/markdown")
    ingest_upload("a.txt", b"# One\n\ntext", "text/plain")
    drain(in_new_tenant)
    assert sorted(Blob.objects.values_list("title", flat=True)) == ["# One", "One"]


# --- Web ---------------------------------------------------------------------------------------------------------------


def test_a_page_is_fetched_and_asked_for_conditionally_next_time(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    answers.pages["/pumps"] = PAGE
    ingest_url(server.url("/pumps"), source_name="Pump works")
    drain(in_new_tenant)
    document = only_document()
    assert (document.status, document.title, document.attempts) == ("ready", "Pumps", 1)
    assert (document.source.name, document.source.uri) == ("Pump works", f"http://127.0.0.1:{server.port}")
    embedded = len(embedder.embedded)
    second = ingest_url(server.url("/pumps"))
    drain(in_new_tenant)
    assert answers.conditional == 1
    assert (run_progress(second.pk).status, run_progress(second.pk).done) == ("completed", 1)
    assert len(embedder.embedded) == embedded
    assert Document.objects.count() == 1
    assert Event.objects.filter(name="ingest.completed").count() == 2


def test_changed_content_embeds_changed_chunks_only_and_serves_the_old_until_then(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    sections = [f"<h2>Part {n}</h2><p>{' '.join(f'word{n}x{i}' for i in range(50))}</p>" for n in range(6)]
    answers.pages["/"] = f"<title>Book</title>{''.join(sections)}".encode()
    ingest_url(server.url())
    drain(in_new_tenant)
    old = only_document().blob
    assert old is not None
    embedded, labels = len(embedder.embedded), set(Chunk.objects.values_list("label", flat=True))
    sections[3] = "<h2>Part 3</h2><p>" + " ".join(f"new{i}" for i in range(50)) + "</p>"
    answers.pages["/"] = f"<title>Book</title>{''.join(sections)}".encode()
    ingest_url(server.url())
    fetch_document.run({"document_id": str(only_document().pk)})
    assert only_document().blob_id == old.pk  # still served
    drain(in_new_tenant)
    assert len(embedder.embedded) == embedded + 1
    assert "new7" in embedder.embedded[-1]
    assert Blob.objects.count() == 1
    assert not Blob.objects.filter(pk=old.pk).exists()
    assert len(labels & set(Chunk.objects.values_list("label", flat=True))) == len(labels) - 1
    assert Embedding.objects.count() == Chunk.objects.count()
    assert Artifact.objects.count() == 1


def test_a_refused_url_is_refused_before_anything_is_written(in_new_tenant: TenantRef) -> None:
    with override_settings(EGRESS_ALLOW_CIDRS=()), pytest.raises(UrlForbiddenAddress):
        ingest_url("http://169.254.169.254/latest/meta-data")
    assert (Source.objects.count(), IngestRun.objects.count(), Document.objects.count()) == (0, 0, 0)


def test_each_failed_attempt_is_an_event_and_the_last_one_fails_the_document(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    answers.pages["/"] = PAGE
    answers.status = "503 Unavailable"
    run = ingest_url(server.url())
    drain(in_new_tenant)
    document = only_document()
    assert (document.status, document.error_code, document.attempts) == ("failed", "http_status", 5)
    failed = events("source.fetch_failed")
    assert [event["attempt"] for event in failed] == [1, 2, 3, 4, 5]
    assert {event["source_id"] for event in failed} == {str(document.source_id)}
    assert [event["code"] for event in events("document.failed")] == ["http_status"]
    assert events("ingest.completed")[0]["failed"] == 1
    assert run_progress(run.pk).failed == 1
    answers.status = "200 OK"
    resume_source(document.source_id, actor="op@example.com")  # five failures make the viable system pause it
    retry_document(document.pk)
    assert run_progress(run.pk).status == "running"
    with pytest.raises(DocumentNotRetryable):
        retry_document(document.pk)
    drain(in_new_tenant)
    assert (only_document().status, only_document().error_code) == ("ready", "")
    assert run_progress(run.pk).status == "completed"
    assert events("ingest.completed")[-1]["indexed"] == 1


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (None, "http_status"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "content_type_mismatch"),
        (b"<p> </p>", "document_empty"),
    ],
)
def test_what_will_not_get_better_is_not_tried_again(
    page: bytes | None, code: str, in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder,
    site: tuple[Site, Server],
) -> None:  # fmt: skip
    answers, server = site
    if page is not None:
        answers.pages["/x"] = page
    ingest_url(server.url("/x"))
    drain(in_new_tenant)
    document = only_document()
    assert (document.status, document.error_code, document.attempts) == ("failed", code, 1)


def test_a_paused_source_holds_its_documents_until_it_is_resumed(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    answers.pages |= {"/1": PAGE, "/2": PAGE + b"<p>two</p>"}
    first = ingest_url(server.url("/1"))
    episode = uuid4()
    pause_source(first.source_id, reason="it keeps failing", episode_id=episode)
    pause_source(first.source_id, reason="again", episode_id=None)
    ingest_url(server.url("/2"))
    drain(in_new_tenant)
    assert set(Document.objects.values_list("status", flat=True)) == {"held"}
    assert (run_progress(first.pk).held, run_progress(first.pk).pending) == (1, 0)
    assert server.requests == []
    source = Source.objects.get()
    assert (source.state, source.pause_reason, source.paused_episode_id) == ("paused", "it keeps failing", episode)
    assert resume_source(first.source_id, actor="op@example.com") == 2
    drain(in_new_tenant)
    assert set(Document.objects.values_list("status", flat=True)) == {"ready"}
    assert [event["reason"] for event in events("source.paused")] == ["it keeps failing"]
    assert [event["actor"] for event in events("source.resumed")] == ["op@example.com"]
    assert Source.objects.get().state == "active"


def test_a_removed_document_can_come_back(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    answers.pages["/"] = PAGE
    ingest_url(server.url())
    drain(in_new_tenant)
    remove_document(only_document().pk, reason="test")
    assert searchable() == []
    with pytest.raises(DocumentMissing):
        retry_document(only_document().pk)
    ingest_url(server.url())
    drain(in_new_tenant)
    assert searchable() == ["Pumps"]


def test_a_document_removed_while_it_is_processed_stays_removed(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder
) -> None:
    run = ingest_upload("a.html", PAGE, "text/html")
    remove_document(only_document().pk, reason="test")
    drain(in_new_tenant)
    assert only_document().status == "removed"
    assert (searchable(), Blob.objects.count(), Embedding.objects.count()) == ([], 0, 0)
    assert run_progress(run.pk).status == "completed"


# --- Uploads that are refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "media_type", "error"),
    [
        ("a.png", PAGE, "image/png", ContentTypeMismatch),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png", UnsupportedMediaType),
        ("a.pdf", b"hello", "application/pdf", ContentTypeMismatch),
        ("a.html", b"\x7fELF" + bytes(99), "text/html", ContentTypeMismatch),
        ("a.docx", b"PK\x03\x04" + bytes(99), "", UnsupportedMediaType),
        ("a.txt", b"", "text/plain", DocumentEmpty),
        ("", b"hello", "text/plain", FilenameInvalid),
        ("..", b"hello", "text/plain", FilenameInvalid),
        ("é" * 128 + ".txt", b"hello", "text/plain", FilenameInvalid),
        ("big.txt", b"x" * (50 * 1024 * 1024 + 1), "text/plain", UploadTooLarge),
    ],
)
def test_a_bad_upload_writes_nothing(
    name: str, data: bytes, media_type: str, error: type[Exception], in_new_tenant: TenantRef
) -> None:
    with pytest.raises(error):
        ingest_upload(name, data, media_type)
    assert (Document.objects.count(), IngestRun.objects.count(), Artifact.objects.count()) == (0, 0, 0)


def test_file_names_lose_their_folders_and_tricks(in_new_tenant: TenantRef) -> None:
    assert clean_filename("../../etc/passwd.txt") == "passwd.txt"
    assert clean_filename("C:\\temp\\a.txt") == "a.txt"
    assert clean_filename("exe\u202etxt.md\x00") == "exetxt.md"
    assert clean_filename("e\u0301.txt") == "\u00e9.txt"
    ingest_upload("../../x.txt", b"hello there", "text/plain")
    assert only_document().uri == f"upload:{only_document().pk}/x.txt"
    assert Artifact.objects.get().path.startswith("blobs/")


# --- Runs ----------------------------------------------------------------------------------------------------------------


def test_a_cancelled_run_stops_its_documents(in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder) -> None:
    run = ingest_upload("a.html", PAGE, "text/html")
    assert cancel_run(run.pk) == 1
    drain(in_new_tenant)
    assert (only_document().status, only_document().error_code) == ("failed", "run_cancelled")
    assert run_progress(run.pk).status == "cancelled"
    assert list(Job.objects.filter(name__startswith="content.").values_list("state", flat=True)) == ["cancelled"]
    assert len(events("document.failed")) == 1
    with pytest.raises(RunFinished):
        cancel_run(run.pk)
    retry_document(only_document().pk)
    drain(in_new_tenant)
    assert only_document().status == "ready"


def test_a_newer_run_takes_a_waiting_document_over(
    in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder, site: tuple[Site, Server]
) -> None:
    answers, server = site
    answers.pages["/"] = PAGE
    first, second = ingest_url(server.url()), ingest_url(server.url())
    assert Job.objects.filter(name="content.fetch_document").count() == 1
    drain(in_new_tenant)
    assert [run_progress(run.pk).status for run in (first, second)] == ["completed", "completed"]
    assert [run_progress(run.pk).total for run in (first, second)] == [0, 1]


def test_a_blob_left_behind_is_swept(in_new_tenant: TenantRef, drain: Drain, embedder: HashEmbedder) -> None:
    ingest_upload("a.html", PAGE, "text/html")
    drain(in_new_tenant)
    Document.objects.update(blob=None, content_hash="")
    assert sweep_unused_blobs() == 1
    assert [model.objects.count() for model in (Blob, Chunk, Embedding, Artifact)] == [0, 0, 0, 0]
    ingest_upload("b.html", PAGE, "text/html")
    drain(in_new_tenant)
    assert sweep_unused_blobs() == 0


# --- The command -------------------------------------------------------------------------------------------------------


def command(tenant: TenantRef, *args: Any, **options: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("ingest", *map(str, args), tenant=tenant.slug, json=True, stdout=out, **options)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for number in range(12):
        (tmp_path / "sub" / f"{number:02}.md").write_text(f"# Page {number}\n\nText of page {number}.\n")
    (tmp_path / "same.md").write_text((tmp_path / "sub" / "00.md").read_text())
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / ".hidden" / "secret.md").write_text("# Hidden")
    (tmp_path / ".dot.md").write_text("# Hidden")
    return tmp_path


def test_a_folder_is_taken_in_and_followed(
    tenant: TenantRef, folder: Path, drain: Drain, embedder: HashEmbedder
) -> None:
    answer = command(tenant, folder, source="Manual")
    assert [run["total"] for run in answer["runs"]] == [13]
    drain(tenant)
    with in_tenant(tenant):
        assert Source.objects.get().name == "Manual"
        assert Document.objects.filter(status="ready").count() == 13
        assert Blob.objects.count() == 12
        assert Document.objects.filter(uri__contains="hidden").count() == 0
    (folder / "sub" / "01.md").write_text("# Page 1\n\nRewritten.\n")
    (folder / "sub" / "02.md").unlink()
    embedded = len(embedder.embedded)
    answer = command(tenant, folder)
    assert answer["runs"][0] | {"status": "running"} == answer["runs"][0]
    assert (answer["runs"][0]["unchanged"], answer["runs"][0]["removed"]) == (11, 1)
    drain(tenant)
    assert len(embedder.embedded) == embedded + 1
    with in_tenant(tenant):
        progress = run_progress(UUID(answer["runs"][0]["run_id"]))
        assert (progress.status, progress.done, progress.total, progress.percent) == ("completed", 12, 12, 100.0)
        assert Document.objects.filter(status="removed").values_list("external_id", flat=True).get() == "sub/02.md"
        assert Source.objects.get().name == "Manual"
    answer = command(tenant, folder, wait=True)
    assert (answer["runs"][0]["status"], answer["runs"][0]["unchanged"]) == ("completed", 12)


def test_many_vanished_files_need_a_confirmation(
    tenant: TenantRef, folder: Path, drain: Drain, embedder: HashEmbedder
) -> None:
    command(tenant, folder)
    drain(tenant)
    for path in (folder / "sub").iterdir():
        path.unlink()
    out = io.StringIO()
    call_command("ingest", str(folder), tenant=tenant.slug, stdout=out)
    assert "12 of this source's files are gone" in out.getvalue()
    with in_tenant(tenant):
        assert Document.objects.filter(status="ready").count() == 13
    assert command(tenant, folder, prune=True)["runs"][0]["removed"] == 12
    with in_tenant(tenant):
        assert searchable() == ["Page 0"]


def test_one_file_does_not_prune_its_folder(
    tenant: TenantRef, folder: Path, drain: Drain, embedder: HashEmbedder
) -> None:
    command(tenant, folder, source="Manual")
    drain(tenant)
    answer = command(tenant, folder / "same.md", folder / "sub" / "00.md")
    assert sorted((run["total"], run["unchanged"], run["removed"]) for run in answer["runs"]) == [(1, 0, 0), (1, 1, 0)]
    with in_tenant(tenant):
        assert Document.objects.filter(status="removed").count() == 0
        assert Source.objects.filter(name="Manual").count() == 1


def test_unreadable_and_broken_files_are_named_and_the_command_fails(
    tenant: TenantRef, folder: Path, drain: Drain, embedder: HashEmbedder
) -> None:
    (folder / "broken.html").write_bytes(bytes(range(256)) * 4)
    (folder / "empty.md").write_text(" \n")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 nonsense")
    with pytest.raises(CommandError, match="documents retry --tenant"):
        command(tenant, folder)
    drain(tenant)
    with pytest.raises(CommandError, match="2 failed"):  # the broken PDF is being tried again
        command(tenant, folder)
    drain(tenant)
    with in_tenant(tenant):
        failed = dict(Document.objects.filter(status="failed").values_list("external_id", "error_code"))
        assert failed == {
            "broken.html": "content_type_mismatch",
            "empty.md": "document_empty",
            "bad.pdf": "document_damaged",
        }
        assert IngestRun.objects.filter(status="running").count() == 0
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 cannot be tried again"):
        call_command("documents", "retry", tenant=tenant.slug, failed=True, stdout=out)
    assert "1 documents are being processed again" in out.getvalue()


def test_the_command_says_what_is_wrong_with_its_arguments(tenant: TenantRef, tmp_path: Path) -> None:
    for arguments, message in (
        ([], "Say what to bring in"),
        ([str(tmp_path / "absent")], "There is no file or folder"),
        (["ftp://example.com/"], "write http:// or https://"),
        (["http://127.0.0.1/"], "not a public address"),
    ):
        with override_settings(EGRESS_ALLOW_CIDRS=()), pytest.raises(CommandError, match=message):
            call_command("ingest", *arguments, tenant=tenant.slug)
    with pytest.raises(CommandError):
        call_command("ingest", str(tmp_path), tenant="no-such-tenant")


def test_one_tenant_never_sees_anothers_content(
    two_tenants: tuple[TenantRef, TenantRef], drain: Drain, embedder: HashEmbedder
) -> None:
    mine, other = two_tenants
    with in_tenant(mine):
        ingest_upload("a.html", PAGE, "text/html")
    drain(mine)
    with in_tenant(mine):
        document_id = only_document().pk
    embedded = len(embedder.embedded)
    with in_tenant(other):
        assert [model.objects.count() for model in (Document, Blob, Chunk, Embedding, Artifact)] == [0] * 5
        with pytest.raises(DocumentMissing):
            content_of_document(document_id)
        ingest_upload("a.html", PAGE, "text/html")
    drain(other)
    assert len(embedder.embedded) == 2 * embedded  # equal content is not shared across tenants
    with in_tenant(other):
        assert not Event.objects.filter(payload__document_id=str(document_id)).exists()
