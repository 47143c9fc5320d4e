"""The relay: numbers events, brings subscribers up to date, hands jobs to the broker and rescues orphans.

It sleeps until a wake-up over Valkey, or one second. Every step reads its work from PostgreSQL, so a relay that was
killed, or a Valkey that lost everything, costs time and nothing else.
"""

import logging
import threading
import time

from django.db import DatabaseError, InterfaceError, OperationalError, connections
from redis.exceptions import RedisError

from apps.core import models
from apps.core.events.log import number_events
from apps.core.events.subscribers import deliver, registered_subscribers
from apps.core.heartbeats import beat_in_background
from apps.core.jobs.dispatch import PRUNE_BATCH, BrokerError, dispatch_waiting, prune_finished, rescue_orphans
from apps.core.jobs.execution import LEASE_S
from apps.core.schedules import active_tenant_refs
from apps.core.tenancy import atomic, in_system
from apps.core.wakeups import CHANNEL_EVENTS, CHANNEL_WORK, valkey, wake

POLL_S = 1.0
RESCUE_EVERY_S = 5.0
PRUNE_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Relay:
    """One relay process. Several may run: numbering and dispatch lock what they touch."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._woken = threading.Event()
        self._rescued_at = 0.0
        self._pruned_at = 0.0

    def stop(self) -> None:
        self._stop.set()
        self._woken.set()

    def run(self) -> None:
        """Work until stop()."""
        stop_beating = beat_in_background("relay")
        threading.Thread(target=self._listen, name="relay-wakeups", daemon=True).start()
        try:
            while not self._stop.is_set():
                busy = self._round()
                if not busy:
                    self._woken.wait(POLL_S)
                self._woken.clear()
        finally:
            stop_beating.set()
            connections.close_all()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with valkey().pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]  # redis-py
                    pubsub.subscribe(CHANNEL_WORK)
                    while not self._stop.is_set():
                        if pubsub.get_message(timeout=1.0) is not None:
                            self._woken.set()
            except (RedisError, OSError) as error:
                log.warning("no wake-ups (%s): polling every %s s", error, POLL_S)
                self._stop.wait(POLL_S)

    def _round(self) -> bool:
        try:
            return self.step()
        except (OperationalError, InterfaceError) as error:
            # Workers could not renew their leases either: give them time before anything is taken from them.
            self._rescued_at = time.monotonic() + LEASE_S
            log.warning(
                "PostgreSQL is away: %s", str(error).strip().splitlines()[0] if str(error) else type(error).__name__
            )
        except (BrokerError, RedisError, OSError) as error:
            log.warning("the broker is away: %s", error)
        except DatabaseError:
            log.exception("relay step failed")
        connections.close_all()
        self._stop.wait(POLL_S)
        return False

    def step(self) -> bool:
        """One round; True when there may be more to do at once."""
        moved = self.number_and_deliver()
        now = time.monotonic()
        if now - self._rescued_at > RESCUE_EVERY_S:
            self._rescued_at = now
            rescue_orphans()
        if now - self._pruned_at > PRUNE_EVERY_S:
            self._pruned_at = now
            if prune_finished() == PRUNE_BATCH:
                self._pruned_at = 0.0
        sent = dispatch_waiting()
        return moved or bool(sent)

    def number_and_deliver(self) -> bool:
        """Number committed events, wake the streams, bring subscribers up to date; True when anything moved."""
        with in_system("relay"), atomic():
            numbered = number_events()
        if numbered:
            wake(CHANNEL_EVENTS)
        return bool(self._deliver() or numbered)

    def _deliver(self) -> int:
        """Call every subscriber that is behind its tenant's log."""
        targets = registered_subscribers()
        if not targets:
            return 0
        moved = 0
        with in_system("relay"):
            counters = dict(models.EventCounter.objects.values_list("tenant_id", "last_seq"))
            cursors = {(row.tenant_id, row.subscriber): row.last_seq for row in models.EventCursor.objects.all()}
        for ref in active_tenant_refs():
            for target in targets:
                if cursors.get((ref.id, target.name), 0) < counters.get(ref.id, 0):
                    moved += deliver(ref, target)
        return moved
