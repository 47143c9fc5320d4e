"""Jobs that run by the clock: once per tick for every active tenant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import shared_task
from django.db import close_old_connections, connections

from apps.core.correlation import correlation
from apps.core.jobs.queueing import enqueue
from apps.core.jobs.registry import JobHandler, broker_queue
from apps.core.tenancy import SYSTEM_ALIAS, TenantRef, in_system, in_tenant

TICK_TASK = "schedules.tick"


@dataclass(frozen=True)
class Schedule:
    """A handler without arguments and how often it is enqueued for each tenant."""

    name: str
    every_s: int
    handler: JobHandler[Any]


_schedules: dict[str, Schedule] = {}


def every(seconds: int, name: str) -> Callable[[JobHandler[Any]], JobHandler[Any]]:
    """Enqueue the decorated job for each active tenant every `seconds`; a tick that is still waiting is not doubled."""

    def register(handler: JobHandler[Any]) -> JobHandler[Any]:
        if name in _schedules:
            raise TypeError(f"The schedule name {name!r} is taken.")
        _schedules[name] = Schedule(name, seconds, handler)
        return handler

    return register


def beat_schedule() -> dict[str, dict[str, Any]]:
    """The registered schedules in Celery beat's form."""
    return {
        s.name: {
            "task": TICK_TASK,
            "schedule": s.every_s,
            "args": [s.name],
            "options": {"queue": broker_queue("critical"), "expires": s.every_s},
        }
        for s in _schedules.values()
    }


def active_tenant_refs() -> list[TenantRef]:
    """Active tenants, read under the system role."""
    with in_system("scheduler"), connections[SYSTEM_ALIAS].cursor() as cursor:
        cursor.execute("SELECT id, schema_name, slug FROM tenants_tenant WHERE status = 'active' ORDER BY id")
        return [TenantRef(*row) for row in cursor.fetchall()]


@shared_task(name=TICK_TASK, ignore_result=True)
def tick(name: str) -> None:
    """One beat of one schedule: a small job per tenant."""
    schedule = _schedules[name]
    try:
        for ref in active_tenant_refs():
            with in_tenant(ref), correlation():
                enqueue(schedule.handler, _unique_key=f"tick:{name}", _priority=-1)
    finally:
        close_old_connections()
