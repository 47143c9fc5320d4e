import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from apps.core.tenancy import TenantRef, atomic, in_tenant
from apps.intelligence import services
from apps.intelligence.models import Embedding, EmbeddingTombstone
from apps.intelligence.ports import embedder
from apps.intelligence.vectors import changes

TEXTS = [f"Sentence number {number} about subject {number * 7}." for number in range(20)]


def test_equal_text_is_embedded_once(in_new_tenant: TenantRef) -> None:
    first = services.ensure_embeddings(["alpha", "beta", "alpha"])
    assert (first.embedded, first.reused) == (2, 0)
    assert first.labels[0] == first.labels[2] != first.labels[1]
    again = services.ensure_embeddings(["beta", "gamma"])
    assert (again.embedded, again.reused) == (1, 1)
    assert again.labels[0] == first.labels[1]
    assert Embedding.objects.count() == 3


def test_nothing_to_do_is_nothing_done(in_new_tenant: TenantRef) -> None:
    assert services.ensure_embeddings([]) == services.EmbedResult([], 0, 0)


def test_vectors_are_stored_exactly(in_new_tenant: TenantRef) -> None:
    labels = services.ensure_embeddings(TEXTS).labels
    expected = embedder().embed(TEXTS)
    (batch,) = changes.read_vectors(embedder().model_id, embedder().dim, labels)
    assert batch.labels == sorted(labels)
    order = [labels.index(label) for label in batch.labels]
    assert (batch.vectors == expected[order]).all()


def test_progress_counts_to_the_total_and_an_interrupted_run_continues(in_new_tenant: TenantRef) -> None:
    class Stopped(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def stop_half_way(done: int, total: int) -> None:
        seen.append((done, total))
        if done >= 10:
            raise Stopped

    with pytest.raises(Stopped):
        services.ensure_embeddings(TEXTS, stop_half_way)
    assert seen == [(8, 20), (16, 20)]
    result = services.ensure_embeddings(TEXTS, lambda done, total: seen.append((done, total)))
    assert (result.embedded, result.reused) == (4, 16)
    assert seen[-1] == (20, 20)


def test_two_at_once_store_each_text_once(tenant: TenantRef) -> None:
    found: list[list[int]] = []

    def run() -> None:
        try:
            with in_tenant(tenant):
                found.append(services.ensure_embeddings(TEXTS).labels)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == found[2]
    with in_tenant(tenant):
        assert Embedding.objects.count() == 20


def test_deleting_leaves_word_and_spares_what_is_referenced(in_new_tenant: TenantRef) -> None:
    labels = services.ensure_embeddings(["a", "b", "c"]).labels
    assert services.delete_embeddings([*labels, 999_999], referenced=lambda _: {labels[1]}) == 2
    assert set(Embedding.objects.values_list("label", flat=True)) == {labels[1]}
    assert set(EmbeddingTombstone.objects.values_list("label", flat=True)) == {labels[0], labels[2]}
    assert services.ensure_embeddings(["a"]).labels[0] not in labels


def test_a_held_embedding_waits_with_its_deletion(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        (label,) = services.ensure_embeddings(["held"]).labels
    asked = threading.Event()
    gone: list[int] = []

    def referenced(found: list[int]) -> set[int]:
        asked.set()
        return set(found)

    def delete() -> None:
        try:
            with in_tenant(tenant):
                gone.append(services.delete_embeddings([label], referenced=referenced))
        finally:
            connections.close_all()

    thread = threading.Thread(target=delete)
    with in_tenant(tenant), atomic():
        assert services.hold_embeddings([label, label + 1]) == {label}
        thread.start()
        assert not asked.wait(0.3)
    thread.join()
    assert gone == [0]


def test_old_tombstones_are_pruned(in_new_tenant: TenantRef) -> None:
    labels = services.ensure_embeddings(["a", "b"]).labels
    services.delete_embeddings(labels)
    EmbeddingTombstone.objects.filter(label=labels[0]).update(created_at=timezone.now() - timedelta(hours=2))
    assert services.prune_tombstones() == 1
    assert set(EmbeddingTombstone.objects.values_list("label", flat=True)) == {labels[1]}


def test_a_late_commit_is_not_skipped(tenant: TenantRef) -> None:
    """The transaction that started first commits last: its row must still be read."""
    model = embedder().model_id
    inserted, commit = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with in_tenant(tenant), atomic():
                services.ensure_embeddings(["slow"])
                inserted.set()
                commit.wait(10)
        finally:
            connections.close_all()

    with in_tenant(tenant):
        horizon = changes.horizon()
        thread = threading.Thread(target=slow)
        thread.start()
        assert inserted.wait(10)
        (quick,) = services.ensure_embeddings(["quick"]).labels
        first = changes.news_since(model, horizon)
        assert first.written == [quick]
        commit.set()
        thread.join()
        second = changes.news_since(model, first.horizon)
        slow_label = Embedding.objects.exclude(label=quick).values_list("label", flat=True).get()
        assert slow_label in second.written
        third = changes.news_since(model, changes.horizon())
        assert (third.written, third.deleted) == ([], [])


def test_tenants_have_embeddings_of_their_own(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, two = two_tenants
    with in_tenant(one):
        services.ensure_embeddings(["shared text"])
    with in_tenant(two):
        assert services.ensure_embeddings(["shared text"]).embedded == 1
        assert Embedding.objects.count() == 1
