"""Readiness: every dependency asked for real, all at once, each within its own time."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from kombu import Connection

from apps.capabilities import llm
from apps.core.conf import core_settings
from apps.core.heartbeats import process_ages
from apps.core.tenancy import SYSTEM_ALIAS, in_system
from apps.core.wakeups import valkey
from apps.gateway.conf import GatewaySettings
from apps.intelligence import ports, vectors

# By the name under which each writes its heartbeat.
PROCESSES = (
    "relay",
    "index_owner",
    "worker.default",
    "worker.critical",
    "worker.analysis",
    "worker.notifications",
    "worker.storage",
)
VITAL = "postgresql"


@dataclass(frozen=True)
class Finding:
    """What one check saw. `fields` are shown as they are: no addresses, no secrets, no exception text."""

    ok: bool
    fields: dict[str, Any] = field(default_factory=dict)


class Check:
    """One dependency. A call that hangs is reported as down and never started a second time."""

    def __init__(self, name: str, ask: Callable[[], Finding]) -> None:
        self.name = name
        self._ask = ask
        self._running: Future[Finding] | None = None

    async def run(self, pool: ThreadPoolExecutor, timeout_s: float) -> dict[str, Any]:
        """The check's entry in the reply: status, latency_ms, and its own fields."""
        started = time.perf_counter()
        if self._running is None or self._running.done():
            self._running = pool.submit(self._ask)
        finding = Finding(ok=False, fields={"cause": "timeout"})
        try:
            finding = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._running)), timeout_s)
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001  # boundary: whatever a dependency throws, it is down
            finding = Finding(ok=False, fields={"cause": type(error).__name__})
        latency_ms = round((time.perf_counter() - started) * 1000, 1)
        return {"status": "ok" if finding.ok else "down", "latency_ms": latency_ms} | finding.fields


class Health:
    """The readiness report, at most once in `health_cache_s` however often it is asked for."""

    def __init__(self, options: GatewaySettings) -> None:
        self._options = options
        self._checks = [
            Check(VITAL, ask_postgresql),
            Check("valkey", ask_valkey),
            Check("broker", ask_broker),
            Check("processes", self._ask_processes),
            Check("vector_index", ask_vectors),
            Check("embedder", ask_embedder),
            Check("llm", ask_llm),
        ]
        self._pool = ThreadPoolExecutor(max_workers=2 * len(self._checks), thread_name_prefix="health")
        self._lock = asyncio.Lock()
        self._report: dict[str, Any] = {}
        self._until = 0.0

    async def report(self) -> dict[str, Any]:
        """{status, version, checks}; status is ok, degraded, or unavailable when PostgreSQL is down."""
        async with self._lock:
            if time.monotonic() >= self._until:
                self._report = await self._ask()
                self._until = time.monotonic() + self._options.health_cache_s
            return self._report

    async def _ask(self) -> dict[str, Any]:
        entries = await asyncio.gather(
            *(check.run(self._pool, self._options.health_timeout_s) for check in self._checks)
        )
        checks = {check.name: entry for check, entry in zip(self._checks, entries, strict=True)}
        down = [name for name, entry in checks.items() if entry["status"] != "ok"]
        status = "unavailable" if VITAL in down else "degraded" if down else "ok"
        return {"status": status, "version": core_settings().version, "failing": down, "checks": checks}

    def _ask_processes(self) -> Finding:
        with in_system("health"):
            try:
                ages = process_ages()
            finally:
                connections[SYSTEM_ALIAS].close()
        states = {
            name: {
                "status": "ok" if ages.get(name, float("inf")) < self._options.heartbeat_stale_s else "down",
                "age_s": round(ages[name], 1) if name in ages else None,
            }
            for name in sorted({*PROCESSES, *ages})
        }
        silent = [name for name in PROCESSES if states[name]["status"] != "ok"]
        return Finding(ok=not silent, fields={"silent": silent, "by_name": states})


def ask_postgresql() -> Finding:
    with in_system("health"):
        connection = connections[SYSTEM_ALIAS]
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('server_version')")
                version = cursor.fetchone()[0]
        finally:
            connection.close()
    return Finding(ok=True, fields={"version": version})


def ask_valkey() -> Finding:
    return Finding(ok=bool(valkey().ping()))


def ask_broker() -> Finding:
    url = core_settings().broker_url
    with Connection(url, connect_timeout=1) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
        with connection.channel():
            pass
    return Finding(ok=True, fields={"transport": url.partition("://")[0].partition("+")[0]})


def ask_vectors() -> Finding:
    status = vectors.status()
    return Finding(ok=status.healthy, fields={"backend": status.backend, "detail": status.detail})


def ask_embedder() -> Finding:
    return Finding(ok=True, fields={"model": ports.embedder().model_id})


def ask_llm() -> Finding:
    return Finding(ok=True, fields={"configured": llm.configured()})
