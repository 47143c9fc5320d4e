"""Signs of life: every long-running process of the platform writes one row, every few seconds."""

import logging
import os
import socket
import threading

from django.db import connections
from django.utils import timezone

from apps.core import models
from apps.core.tenancy import SYSTEM_ALIAS, in_system

BEAT_EVERY_S = 5
log = logging.getLogger(__name__)


def beat(name: str) -> None:
    """Write this process's sign of life under `name`."""
    now = timezone.now()
    with in_system("heartbeat"):
        models.ProcessHeartbeat.objects.update_or_create(
            name=name,
            defaults={"host": socket.gethostname(), "pid": os.getpid(), "beat_at": now},
            create_defaults={"host": socket.gethostname(), "pid": os.getpid(), "beat_at": now, "started_at": now},
        )


def beat_in_background(name: str) -> threading.Event:
    """Beat from a daemon thread until the returned event is set. A database that is away is tried again."""
    stop = threading.Event()

    def loop() -> None:
        while True:
            try:
                beat(name)
            except Exception as error:  # noqa: BLE001  # boundary: the next beat tries again
                log.warning("no sign of life written for %s: %s", name, type(error).__name__)
            finally:
                connections[SYSTEM_ALIAS].close()
            if stop.wait(BEAT_EVERY_S):
                return

    threading.Thread(target=loop, name=f"heartbeat-{name}", daemon=True).start()
    return stop


def process_ages() -> dict[str, float]:
    """Seconds since each process's last sign of life. Under in_system."""
    now = timezone.now()
    rows = models.ProcessHeartbeat.objects.values_list("name", "beat_at")
    return {name: (now - beat_at).total_seconds() for name, beat_at in rows}
