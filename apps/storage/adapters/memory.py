"""The in-memory twin of a blob back end, for tests."""

import time
from collections.abc import Iterator
from uuid import UUID

from apps.storage.errors import ArtifactMissing, StorageFull


class MemoryBackend:
    """Blobs in a dictionary; `capacity_bytes` makes it run full."""

    name = "memory"

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.blobs: dict[tuple[UUID, str], tuple[float, bytes]] = {}
        self.capacity_bytes = capacity_bytes

    def write(self, tenant_id: UUID, checksum: str, data: bytes) -> None:
        used = sum(len(stored) for _, stored in self.blobs.values())
        if self.capacity_bytes is not None and used + len(data) > self.capacity_bytes:
            raise StorageFull("There is no room left on the storage device; nothing was stored.")
        self.blobs[tenant_id, checksum] = (time.time(), data)

    def read(self, tenant_id: UUID, checksum: str) -> bytes:
        if (tenant_id, checksum) not in self.blobs:
            raise ArtifactMissing("The stored bytes are gone.")
        return self.blobs[tenant_id, checksum][1]

    def delete(self, tenant_id: UUID, checksum: str) -> None:
        self.blobs.pop((tenant_id, checksum), None)

    def exists(self, tenant_id: UUID, checksum: str) -> bool:
        return (tenant_id, checksum) in self.blobs

    def older_than(self, tenant_id: UUID, seconds: float) -> Iterator[str]:
        limit = time.time() - seconds
        yield from [key for (owner, key), (at, _) in self.blobs.items() if owner == tenant_id and at <= limit]
