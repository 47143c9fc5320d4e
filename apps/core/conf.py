"""Typed options of core."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True)
class CoreSettings:
    data_dir: Path
    run_dir: Path
    redis_url: str
    broker_url: str
    base_url: str
    owner_url: str
    version: str


@cache
def core_settings() -> CoreSettings:
    """Read once from Django's settings."""
    return CoreSettings(
        data_dir=settings.DATA_DIR,
        run_dir=settings.RUN_DIR,
        redis_url=settings.REDIS_URL,
        broker_url=settings.CELERY_BROKER_URL,
        base_url=settings.BASE_URL,
        owner_url=settings.DATABASE_OWNER_URL,
        version=settings.VERSION,
    )
