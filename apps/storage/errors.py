"""Refusals of storage: one family, whatever the back end."""

from apps.core.errors import DomainError


class StorageError(DomainError):
    """Any refusal of storage."""

    code = "storage_error"
    status = 503
    title = "Storage refused"


class PathInvalid(StorageError):
    code = "storage_path_invalid"
    status = 422
    title = "The storage path is not valid"


class ArtifactMissing(StorageError):
    """Nothing is stored under this path, or its bytes are gone."""

    code = "artifact_missing"
    status = 404
    title = "Nothing is stored there"


class ArtifactCorrupt(StorageError):
    """The stored bytes are not those that were written."""

    code = "artifact_corrupt"
    status = 500
    title = "The stored bytes are damaged"


class StorageFull(StorageError):
    """The device or the quota has no room left; nothing was written."""

    code = "storage_full"
    status = 507
    title = "Storage is full"


class StorageUnavailable(StorageError):
    """The back end cannot be reached or read at the moment."""

    code = "storage_unavailable"
    status = 503
    title = "Storage is not available"
