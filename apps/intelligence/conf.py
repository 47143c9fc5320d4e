"""Typed options of intelligence."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

from apps.core.conf import core_settings

BUNDLED_MODEL = "minilm"


@dataclass(frozen=True)
class IntelligenceSettings:
    embedding_model: str
    models_dir: Path
    indexes_dir: Path
    socket: Path
    search_timeout_s: float = 2.0
    loaded_indexes_bytes: int = 2_000_000_000


@cache
def intelligence_settings() -> IntelligenceSettings:
    """Read once from Django's settings."""
    core = core_settings()
    return IntelligenceSettings(
        embedding_model=settings.EMBEDDING_MODEL or BUNDLED_MODEL,
        models_dir=core.data_dir / "models",
        indexes_dir=core.data_dir / "indexes",
        socket=core.run_dir / "index.sock",
    )
