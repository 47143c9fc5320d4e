"""Typed options of ingest."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class IngestSettings:
    max_document_bytes: int
    max_filename_bytes: int = 255
    max_uri_chars: int = 2000
    fetch_timeout_s: float = 30.0
    batch_documents: int = 100
    batch_bytes: int = 16_000_000
    prune_guard_share: float = 0.5
    prune_guard_floor: int = 10
    rate_window_s: int = 30
    sweep_batch: int = 200


@cache
def ingest_settings() -> IngestSettings:
    """Read once from Django's settings."""
    return IngestSettings(max_document_bytes=getattr(settings, "CONTENT_MAX_DOCUMENT_BYTES", 50 * 1024 * 1024))
