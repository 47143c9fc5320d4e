"""Celery carries job ids to worker threads; what runs, when and how often is in the job table."""

import os
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, worker_ready, worker_shutdown
from kombu import Queue

from apps.core.embedded.attach import attach_env

attach_env()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")

import django  # noqa: E402  # settings must be named first
from django.conf import settings  # noqa: E402

django.setup()

from apps.core.heartbeats import beat_in_background  # noqa: E402
from apps.core.jobs import QUEUES  # noqa: E402
from apps.core.jobs import worker as _worker  # noqa: E402, F401  # registers jobs.run
from apps.core.schedules import beat_schedule  # noqa: E402

AMQP = settings.CELERY_BROKER_URL.startswith("amqp")
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 20} if AMQP else None

app = Celery("cybernetic")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    task_queues=[Queue(name, queue_arguments=QUORUM) for name in QUEUES],
    task_default_queue="default",
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    accept_content=["json"],
    task_serializer="json",
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"confirm_publish": True} if AMQP else {"visibility_timeout": 3600, "socket_timeout": 30},
    beat_schedule=beat_schedule(),
    beat_schedule_filename=str(Path(settings.DATA_DIR) / "beat" / "schedule"),
    timezone="UTC",
)
app.set_default()

_stop_beating: list[Any] = []


@celeryd_init.connect
def _name_worker(sender: str | None = None, **_: Any) -> None:
    app.conf.cybernetic_worker = (sender or "worker").split("@")[0]


@worker_ready.connect
def _start_beating(**_: Any) -> None:
    _stop_beating.append(beat_in_background(f"worker.{app.conf.cybernetic_worker}"))


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    for stop in _stop_beating:
        stop.set()
