"""Search through the index owner's socket, and without it."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from apps.core.tenancy import NoTenant, TenantRef, in_tenant
from apps.intelligence import services, vectors
from apps.intelligence.conf import intelligence_settings
from apps.intelligence.errors import VectorInvalid
from apps.intelligence.ports import embedder
from apps.intelligence.vectors import client, files, hnsw, protocol
from apps.intelligence.vectors.owner import IndexOwner
from tests.intelligence.conftest import RunningOwner, until

ROOT = Path(__file__).resolve().parents[2]
ANIMALS = ["The cat sleeps.", "A dog barks at night.", "Horses run across the field."]
MACHINES = ["The engine needs oil.", "Replace the drive belt.", "The pump moves water."]
needs_hnswlib = pytest.mark.skipif(not hnsw.available(), reason="hnswlib is not installed")


def labels(hits: vectors.VectorHits) -> list[int]:
    return [label for label, _ in hits.hits]


def test_without_an_owner_postgresql_answers(in_new_tenant: TenantRef) -> None:
    stored = services.ensure_embeddings(ANIMALS).labels
    found = vectors.search("a sleeping kitten", k=2)
    assert found.backend == "pgvector"
    assert "not running" in found.detail
    assert labels(found)[0] == stored[0]
    assert len(found.hits) == 2
    status = vectors.status()
    assert (status.backend, status.healthy) == ("pgvector", False)


def test_a_search_needs_a_tenant() -> None:
    with pytest.raises(NoTenant):
        vectors.search("anything", k=1)


@needs_hnswlib
class TestWithOwner:
    def test_finds_the_same_as_postgresql(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        services.ensure_embeddings(ANIMALS + MACHINES)
        found = vectors.search("water", k=6)
        assert found.backend == "hnswlib"
        exact = vectors.exact_search(found.vector, k=6)
        assert labels(found) == [label for label, _ in exact]
        np.testing.assert_allclose([s for _, s in found.hits], [s for _, s in exact], atol=1e-5)
        status = vectors.status()
        assert (status.backend, status.healthy) == ("hnswlib", True)

    def test_what_is_stored_is_found_at_once_and_what_is_deleted_is_not(
        self, in_new_tenant: TenantRef, owner: RunningOwner
    ) -> None:
        services.ensure_embeddings(ANIMALS)
        vectors.search("anything", k=1)
        for number in range(5):
            text = f"A very particular sentence, the {number}th of its kind."
            (label,) = services.ensure_embeddings([text]).labels
            services.notify_index(in_new_tenant)
            assert labels(vectors.search(text, k=1)) == [label]
            services.delete_embeddings([label])
            services.notify_index(in_new_tenant)
            assert label not in labels(vectors.search(text, k=10))

    def test_news_is_found_without_a_notice(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        services.ensure_embeddings(ANIMALS)
        vectors.search("anything", k=1)
        (label,) = services.ensure_embeddings(["Nobody told the index about this."]).labels
        until(lambda: labels(vectors.search("Nobody told the index about this.", k=1)) == [label], 2.0)

    def test_a_vector_can_be_searched_for(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        stored = services.ensure_embeddings(ANIMALS).labels
        vector = vectors.embed_query(ANIMALS[1])
        assert np.array_equal(vector, embedder().embed([ANIMALS[1]])[0])
        assert labels(vectors.search(vector, k=1)) == [stored[1]]
        with pytest.raises(VectorInvalid):
            vectors.search(vector[:10], k=1)
        with pytest.raises(VectorInvalid):
            vectors.search(np.full(embedder().dim, np.nan, np.float32), k=1)

    def test_tenants_never_meet(self, two_tenants: tuple[TenantRef, TenantRef], owner: RunningOwner) -> None:
        one, two = two_tenants
        with in_tenant(one):
            services.ensure_embeddings([f"Filler {number}." for number in range(30)])
            (canary,) = services.ensure_embeddings(["The canary of tenant one."]).labels
        with in_tenant(two):
            own = set(services.ensure_embeddings(MACHINES).labels)
            found = vectors.search("The canary of tenant one.", k=50)
            assert found.backend == "hnswlib"
            assert set(labels(found)) == own
            assert all(score < 0.9 for _, score in found.hits)
        with in_tenant(one):
            assert labels(vectors.search("The canary of tenant one.", k=1)) == [canary]
        owner.stop()
        root = intelligence_settings().indexes_dir
        assert files.tenant_folder(root, one.id).is_dir()
        assert files.tenant_folder(root, two.id).is_dir()

    def test_another_tenants_file_in_its_place_is_refused_and_rebuilt(
        self, two_tenants: tuple[TenantRef, TenantRef], owner: RunningOwner, caplog: pytest.LogCaptureFixture
    ) -> None:
        one, two = two_tenants
        for ref, texts in ((one, ANIMALS), (two, MACHINES)):
            with in_tenant(ref):
                services.ensure_embeddings(texts)
                vectors.search("x", k=1)
        owner.stop()
        root = intelligence_settings().indexes_dir
        files.remove(root, two.id)
        files.tenant_folder(root, one.id).rename(files.tenant_folder(root, two.id))
        owner.start()
        with in_tenant(two):
            stored = services.ensure_embeddings(MACHINES).labels
            found = vectors.search(MACHINES[1], k=50)
        assert found.backend == "hnswlib"
        assert labels(found)[0] == stored[1]
        assert set(labels(found)) == set(stored)
        assert "another tenant" in caplog.text

    def test_a_restart_reads_its_file_and_catches_up(
        self, in_new_tenant: TenantRef, owner: RunningOwner, caplog: pytest.LogCaptureFixture
    ) -> None:
        old = services.ensure_embeddings(ANIMALS).labels
        vectors.search("x", k=1)
        owner.stop()
        services.delete_embeddings([old[0]])
        new = services.ensure_embeddings(MACHINES).labels
        owner.start()
        found = vectors.search("x", k=50)
        assert found.backend == "hnswlib"
        assert set(labels(found)) == {*old[1:], *new}
        (report,) = owner.report().indexes
        assert (report.count, report.stored) == (5, 6)
        assert "refused" not in caplog.text

    def test_a_damaged_file_is_rebuilt(
        self, in_new_tenant: TenantRef, owner: RunningOwner, caplog: pytest.LogCaptureFixture
    ) -> None:
        stored = services.ensure_embeddings(ANIMALS).labels
        vectors.search("x", k=1)
        owner.stop()
        (graph,) = files.tenant_folder(intelligence_settings().indexes_dir, in_new_tenant.id).glob("*.bin")
        graph.write_bytes(b"\xff" * graph.stat().st_size)
        owner.start()
        assert set(labels(vectors.search("x", k=50))) == set(stored)
        assert "built from PostgreSQL" in caplog.text

    def test_an_unknown_tenant_is_refused(self, owner: RunningOwner) -> None:
        with pytest.raises(client.OwnerUnavailable, match="no such active tenant"):
            client.ask(protocol.Search(UUID(int=1), embedder().model_id, 1, text="x"))

    def test_another_model_is_refused(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        with pytest.raises(client.OwnerUnavailable, match="serves"):
            client.ask(protocol.Search(in_new_tenant.id, "other", 1, text="x"))

    def test_dropping_removes_index_and_files(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        services.ensure_embeddings(ANIMALS)
        vectors.search("x", k=1)
        client.ask(protocol.Drop(in_new_tenant.id))
        assert owner.report().indexes == []
        assert not files.tenant_folder(intelligence_settings().indexes_dir, in_new_tenant.id).exists()

    def test_changes_are_saved_when_they_settle(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        services.ensure_embeddings(ANIMALS)
        vectors.search("x", k=1)
        folder = files.tenant_folder(intelligence_settings().indexes_dir, in_new_tenant.id)
        until(lambda: bool(list(folder.glob("*.json"))), 10.0)

    def test_memory_has_a_limit(self, two_tenants: tuple[TenantRef, TenantRef]) -> None:
        """Only the index used last stays; the other one was saved and comes back."""
        owner = IndexOwner(replace(intelligence_settings(), loaded_indexes_bytes=1))
        ask = [protocol.Search(ref.id, embedder().model_id, 5, text="x") for ref in two_tenants]
        for ref, request in zip(two_tenants, ask, strict=True):
            with in_tenant(ref):
                services.ensure_embeddings(ANIMALS)
            assert isinstance(owner.answer(request), protocol.Hits)
        owner.save_due()
        report = owner.answer(protocol.Status())
        assert isinstance(report, protocol.Report)
        assert [index.tenant for index in report.indexes] == [two_tenants[1].id]
        again = owner.answer(ask[0])
        assert isinstance(again, protocol.Hits)
        assert len(again.labels) == 3
        owner.close()

    def test_a_worn_index_is_built_anew(self, in_new_tenant: TenantRef, owner: RunningOwner) -> None:
        texts = [f"Sentence {number}." for number in range(400)]
        stored = services.ensure_embeddings(texts).labels
        until(lambda: vectors.search("x", k=1).backend == "hnswlib")
        services.delete_embeddings(stored[:300])
        services.notify_index(in_new_tenant)
        vectors.search("x", k=1)
        services.notify_index(in_new_tenant)
        until(lambda: owner.report().indexes[0].stored == 100, 5.0)
        assert len(vectors.search("x", k=1000).hits) == 100

    def test_the_command_shows_and_rebuilds(self, tenant: TenantRef, owner: RunningOwner) -> None:
        with in_tenant(tenant):
            services.ensure_embeddings(ANIMALS)
        said = StringIO()
        call_command("vector_index", "rebuild", tenant=tenant.slug, stdout=said)
        assert f"{tenant.slug}: 3 vectors" in said.getvalue()
        call_command("vector_index", "status", tenant=tenant.slug, stdout=said)
        assert f"{tenant.slug}: 3 in PostgreSQL, ready, 3 in the index" in said.getvalue()


def test_the_command_says_when_nobody_answers(tenant: TenantRef) -> None:
    with pytest.raises(CommandError, match="not running"):
        call_command("vector_index", "status", tenant=tenant.slug)


def test_without_hnswlib_the_owner_embeds_and_postgresql_searches(
    in_new_tenant: TenantRef, running_owner: RunningOwner
) -> None:
    running_owner.start(indexed=False)
    stored = services.ensure_embeddings(ANIMALS).labels
    found = vectors.search("a barking dog", k=1)
    assert (found.backend, found.detail) == ("pgvector", "hnswlib is not installed")
    assert labels(found) == [stored[1]]
    status = vectors.status()
    assert (status.backend, status.healthy) == ("pgvector", True)


def test_exact_search_among_labels(in_new_tenant: TenantRef) -> None:
    stored = services.ensure_embeddings(ANIMALS + MACHINES).labels
    vector = vectors.embed_query(ANIMALS[0])
    assert vectors.exact_search(vector, labels=stored[3:], k=10)[0][0] in stored[3:]
    assert len(vectors.exact_search(vector, labels=stored[3:], k=10)) == 3
    assert vectors.exact_search(vector, labels=[], k=10) == []
    assert vectors.exact_search(vector, k=1)[0][0] == stored[0]


def test_a_stranger_on_the_socket_does_no_harm(in_new_tenant: TenantRef, running_owner: RunningOwner) -> None:
    running_owner.start()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(intelligence_settings().socket))
        stranger.sendall(b"\xff\xff\xff\xffgarbage")
        with suppress(ConnectionResetError):
            assert stranger.recv(10) == b""
    assert vectors.status().healthy
    assert intelligence_settings().socket.stat().st_mode & 0o777 == 0o600


class TestProcess:
    """`manage.py index_owner` as it runs in production."""

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", "index_owner"],
            cwd=ROOT,
            env=dict(os.environ),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def test_serves_alone_and_stops_cleanly(self, tenant: TenantRef) -> None:
        first = self.start()
        try:
            until(lambda: vectors.status().healthy, 30.0)
            with in_tenant(tenant):
                stored = services.ensure_embeddings(ANIMALS).labels
                until(lambda: vectors.search("x", k=3).backend == ("hnswlib" if hnsw.available() else "pgvector"), 10.0)
                assert set(labels(vectors.search("x", k=3))) == set(stored)
            second = self.start()
            _, said = second.communicate(timeout=30)
            assert second.returncode == 1
            assert f"process {first.pid}" in said
            assert vectors.status().healthy
        finally:
            first.send_signal(signal.SIGTERM)
            _, said = first.communicate(timeout=30)
        assert first.returncode == 0, said
        assert "Traceback" not in said
        assert not intelligence_settings().socket.exists()

    def test_a_killed_owner_does_not_stop_the_next(self, tenant: TenantRef) -> None:
        first = self.start()
        until(lambda: vectors.status().healthy, 30.0)
        first.kill()
        first.communicate()
        with in_tenant(tenant):
            services.ensure_embeddings(ANIMALS)
            assert vectors.search("x", k=3).backend == "pgvector"
        second = self.start()
        try:
            until(lambda: vectors.status().healthy, 30.0)
        finally:
            second.send_signal(signal.SIGTERM)
            second.communicate(timeout=30)
        assert second.returncode == 0
