"""Typed options of the gateway; `settings.GATEWAY` overrides by name."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings

from apps.core.api.errors import JSON_LIMIT_BYTES, UPLOAD_LIMIT_BYTES


@dataclass(frozen=True)
class GatewaySettings:
    bridge_threads: int = 16
    reply_buffer_bytes: int = 8_388_608
    reply_buffer_total_bytes: int = 268_435_456
    json_limit_bytes: int = JSON_LIMIT_BYTES
    upload_limit_bytes: int = UPLOAD_LIMIT_BYTES
    upload_paths: tuple[str, ...] = ("/v1/ingest", "/ingest")
    body_timeout_s: float = 30
    upload_timeout_s: float = 600
    spool_memory_bytes: int = 1_048_576
    rate_per_minute: int = 600
    rate_burst: int = 600
    rate_processes: int = 1
    sign_ins_per_minute: int = 20
    stream_heartbeat_s: float = 15
    stream_recheck_s: float = 60
    stream_stall_s: float = 60
    stream_ring: int = 2048
    stream_poll_s: float = 1
    max_streams: int = 10_000
    retry_ms: int = 2_000
    health_timeout_s: float = 2
    health_cache_s: float = 1
    heartbeat_stale_s: float = 30


@cache
def gateway_settings() -> GatewaySettings:
    """Read once from Django's settings."""
    overrides: dict[str, Any] = getattr(settings, "GATEWAY", {})
    return GatewaySettings(**overrides)
