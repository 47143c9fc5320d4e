"""Writes and reads of blobs, in the tenant in force.

The row is the truth and commits with the caller's transaction; bytes are kept once per tenant and content. A blob is
removed only under the lock of its checksum, after a look that no row needs it, so a concurrent store cannot lose it.
"""

import hashlib
from typing import Any

from blake3 import blake3
from django.db import connections, transaction
from django.utils import timezone

from apps.core.tenancy import TenantRef, alias_in_force, atomic, current_tenant, in_tenant
from apps.storage import ports
from apps.storage.conf import ORPHAN_AGE_S, SWEEP_BATCH
from apps.storage.errors import ArtifactCorrupt, ArtifactMissing
from apps.storage.models import Artifact
from apps.storage.paths import check_path


def store_bytes(path: str, data: bytes, *, content_type: str, metadata: dict[str, Any] | None = None) -> Artifact:
    """Keep `data` under `path`, replacing what is there; the same again changes nothing.

    Raises PathInvalid, StorageFull (then nothing is stored), StorageUnavailable.
    """
    check_path(path)
    tenant, checksum = current_tenant(), blake3(data).hexdigest()
    backend = ports.backend()
    with atomic():
        _lock_blob(tenant, checksum)
        previous = Artifact.objects.filter(path=path).values_list("checksum", flat=True).first()
        if not _holds(tenant, checksum, len(data)):
            backend.write(tenant.id, checksum, data)
        artifact, _ = Artifact.objects.update_or_create(
            path=path,
            defaults={
                "content_type": content_type,
                "size_bytes": len(data),
                "checksum": checksum,
                "backend": backend.name,
                "metadata": metadata or {},
            },
        )
        if previous is not None and previous != checksum:
            _remove_after_commit(tenant, previous)
    return artifact


def retrieve_bytes(path: str) -> bytes:
    """The bytes under `path`, checked. Raises ArtifactMissing, ArtifactCorrupt, StorageUnavailable."""
    artifact = Artifact.objects.filter(path=check_path(path)).first()
    if artifact is None or (artifact.expires_at and artifact.expires_at <= timezone.now()):
        raise ArtifactMissing("Nothing is stored under this path.")
    data = ports.backend(artifact.backend).read(current_tenant().id, artifact.checksum)
    if len(data) != artifact.size_bytes or blake3(data).hexdigest() != artifact.checksum:
        raise ArtifactCorrupt("The stored bytes are not those that were written.")
    return data


def delete(path: str) -> bool:
    """Forget `path`; its bytes go too when nothing else needs them. False when nothing was there."""
    tenant = current_tenant()
    with atomic():
        artifact = Artifact.objects.select_for_update().filter(path=check_path(path)).first()
        if artifact is None:
            return False
        artifact.delete()
        _remove_after_commit(tenant, artifact.checksum)
    return True


def exists(path: str) -> bool:
    """Whether `path` is stored and has not expired."""
    found = Artifact.objects.filter(path=check_path(path)).exclude(expires_at__lte=timezone.now())
    return found.exists()


def sweep(*, orphan_age_s: float = ORPHAN_AGE_S) -> int:
    """Remove expired artifacts and bytes that no row needs (rolled-back stores). Returns how many blobs went."""
    tenant = current_tenant()
    expired = Artifact.objects.filter(expires_at__lte=timezone.now()).order_by("pk")[:SWEEP_BATCH]
    for path in list(expired.values_list("path", flat=True)):
        delete(path)
    removed = 0
    for checksum in ports.backend().older_than(tenant.id, orphan_age_s):
        if removed >= SWEEP_BATCH:
            break
        removed += _remove_unreferenced(tenant, checksum)
    return removed


def _holds(tenant: TenantRef, checksum: str, size_bytes: int) -> bool:
    """Whether a committed row and the back end both have this content: then it need not be written again."""
    known = Artifact.objects.filter(checksum=checksum, size_bytes=size_bytes, backend=ports.DEFAULT_BACKEND).exists()
    return known and ports.backend().exists(tenant.id, checksum)


def _lock_blob(tenant: TenantRef, checksum: str) -> None:
    key = hashlib.blake2b(f"storage:{tenant.id}:{checksum}".encode(), digest_size=8).digest()
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key, "big", signed=True)])


def _remove_after_commit(tenant: TenantRef, checksum: str) -> None:
    def remove() -> None:
        with in_tenant(tenant):
            _remove_unreferenced(tenant, checksum)

    transaction.on_commit(remove, using=alias_in_force(), robust=True)


def _remove_unreferenced(tenant: TenantRef, checksum: str) -> bool:
    with atomic():
        _lock_blob(tenant, checksum)
        if Artifact.objects.filter(checksum=checksum).exists():
            return False
        ports.backend().delete(tenant.id, checksum)
    return True
