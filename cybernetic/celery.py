"""The Celery app that `celery -A cybernetic.celery` runs. Its settings are in apps/core/jobs/broker.py."""

import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_init, worker_ready, worker_shutdown

from apps.core.embedded.attach import attach_env

attach_env()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")

app = Celery("cybernetic")
app.set_default()

import django  # noqa: E402  # settings must be named first, and core configures the app that is current

django.setup()

from apps.core.heartbeats import beat_in_background  # noqa: E402
from apps.core.jobs import worker as _worker  # noqa: E402, F401  # registers jobs.run

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
