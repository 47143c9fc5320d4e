from pathlib import Path

import pytest
from blake3 import blake3

from apps.core.tenancy import TenantRef, atomic, in_tenant
from apps.storage import services
from apps.storage.conf import storage_settings
from apps.storage.errors import ArtifactCorrupt, ArtifactMissing, PathInvalid
from apps.storage.models import Artifact


def _file(tenant: TenantRef, data: bytes) -> Path:
    checksum = blake3(data).hexdigest()
    return storage_settings().root / str(tenant.id) / checksum[:2] / checksum


def test_stores_once_and_reads_back(in_new_tenant: TenantRef) -> None:
    first = services.store_bytes("docs/a.txt", b"hello", content_type="text/plain", metadata={"from": "test"})
    again = services.store_bytes("docs/a.txt", b"hello", content_type="text/plain", metadata={"from": "test"})
    assert first.pk == again.pk
    assert Artifact.objects.count() == 1
    assert services.retrieve_bytes("docs/a.txt") == b"hello"
    assert (first.size_bytes, first.checksum, first.backend) == (5, blake3(b"hello").hexdigest(), "local")


def test_replacing_keeps_one_row_and_drops_the_old_bytes(in_new_tenant: TenantRef) -> None:
    services.store_bytes("a", b"one", content_type="text/plain")
    services.store_bytes("a", b"two", content_type="text/plain")
    assert services.retrieve_bytes("a") == b"two"
    assert not _file(in_new_tenant, b"one").exists()


def test_equal_content_outlives_one_of_its_paths(in_new_tenant: TenantRef) -> None:
    services.store_bytes("a", b"same", content_type="text/plain")
    services.store_bytes("b", b"same", content_type="text/plain")
    assert services.delete("a")
    assert services.retrieve_bytes("b") == b"same"
    assert services.delete("b")
    assert not services.delete("b")
    assert not _file(in_new_tenant, b"same").exists()
    with pytest.raises(ArtifactMissing):
        services.retrieve_bytes("b")


def test_a_changed_bit_is_noticed(in_new_tenant: TenantRef) -> None:
    services.store_bytes("a", b"content", content_type="text/plain")
    _file(in_new_tenant, b"content").write_bytes(b"contend")
    with pytest.raises(ArtifactCorrupt):
        services.retrieve_bytes("a")


def test_lost_bytes_are_missing_and_can_be_stored_again(in_new_tenant: TenantRef) -> None:
    services.store_bytes("a", b"content", content_type="text/plain")
    _file(in_new_tenant, b"content").unlink()
    with pytest.raises(ArtifactMissing):
        services.retrieve_bytes("a")
    services.store_bytes("a", b"content", content_type="text/plain")
    assert services.retrieve_bytes("a") == b"content"


def test_a_rolled_back_store_leaves_an_orphan_that_the_sweep_takes(in_new_tenant: TenantRef) -> None:
    services.store_bytes("kept", b"kept", content_type="text/plain")
    with pytest.raises(RuntimeError), atomic():
        services.store_bytes("gone", b"gone", content_type="text/plain")
        raise RuntimeError
    assert not services.exists("gone")
    assert services.sweep() == 0
    assert services.sweep(orphan_age_s=-60) == 1
    assert not _file(in_new_tenant, b"gone").exists()
    assert services.retrieve_bytes("kept") == b"kept"


def test_bad_paths_store_nothing(in_new_tenant: TenantRef) -> None:
    with pytest.raises(PathInvalid):
        services.store_bytes("../a", b"content", content_type="text/plain")
    assert Artifact.objects.count() == 0
    assert not _file(in_new_tenant, b"content").exists()


def test_tenants_do_not_see_each_other(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, two = two_tenants
    with in_tenant(one):
        services.store_bytes("a", b"canary-one", content_type="text/plain")
    with in_tenant(two):
        assert not services.exists("a")
        with pytest.raises(ArtifactMissing):
            services.retrieve_bytes("a")
        services.store_bytes("a", b"canary-one", content_type="text/plain")
        assert services.delete("a")
    with in_tenant(one):
        assert services.retrieve_bytes("a") == b"canary-one"
