from django.apps import AppConfig

from apps.storage.adapters.local import LocalBackend
from apps.storage.conf import storage_settings
from apps.storage.ports import DEFAULT_BACKEND, register_backend


class StorageConfig(AppConfig):
    """Blobs of a tenant: bytes under a path, whole or absent."""

    name = "apps.storage"
    verbose_name = "Storage"

    def ready(self) -> None:
        register_backend(DEFAULT_BACKEND, lambda: LocalBackend(storage_settings().root))
