"""Typed options of storage."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from apps.core.conf import core_settings

PATH_LIMIT_BYTES = 512
ORPHAN_AGE_S = 3600
SWEEP_BATCH = 500


@dataclass(frozen=True)
class StorageSettings:
    root: Path


@cache
def storage_settings() -> StorageSettings:
    """Read once."""
    return StorageSettings(root=core_settings().data_dir / "storage")
