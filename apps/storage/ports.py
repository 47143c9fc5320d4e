"""What storage needs from a place that keeps bytes."""

from collections.abc import Callable, Iterator
from typing import Protocol
from uuid import UUID

from apps.storage.errors import StorageError


class BlobBackend(Protocol):
    """Keeps the bytes of one tenant under their checksum (64 hex digits).

    A blob is whole or absent at any moment, also after a crash. Raises StorageFull, StorageUnavailable.
    """

    name: str

    def write(self, tenant_id: UUID, checksum: str, data: bytes) -> None:
        """Store `data`; again with the same checksum replaces it by the same bytes."""
        ...

    def read(self, tenant_id: UUID, checksum: str) -> bytes:
        """The bytes as they are now, unchecked. Raises ArtifactMissing."""
        ...

    def delete(self, tenant_id: UUID, checksum: str) -> None:
        """Remove the bytes; fine when they are gone."""
        ...

    def exists(self, tenant_id: UUID, checksum: str) -> bool:
        """Whether something is stored under `checksum`."""
        ...

    def older_than(self, tenant_id: UUID, seconds: float) -> Iterator[str]:
        """Checksums of the tenant's blobs last written more than `seconds` ago."""
        ...


_factories: dict[str, Callable[[], BlobBackend]] = {}
_made: dict[str, BlobBackend] = {}
DEFAULT_BACKEND = "local"


def register_backend(name: str, factory: Callable[[], BlobBackend]) -> None:
    """Make a back end known under `name`; it is built when first used."""
    _factories[name] = factory
    _made.pop(name, None)


def backend(name: str = DEFAULT_BACKEND) -> BlobBackend:
    """The back end called `name`. Raises StorageError when nobody registered it."""
    if name not in _made:
        if name not in _factories:
            raise StorageError(f"There is no storage back end {name!r}.")
        _made[name] = _factories[name]()
    return _made[name]
