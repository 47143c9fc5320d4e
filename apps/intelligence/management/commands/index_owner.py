"""`manage.py index_owner`: the process that holds the vector indexes and embeds queries."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from apps.core.heartbeats import beat_in_background
from apps.intelligence.conf import intelligence_settings
from apps.intelligence.ports import embedder
from apps.intelligence.vectors import protocol
from apps.intelligence.vectors.owner import AlreadyOwned, IndexOwner, OwnerServer, owner_lock
from apps.tenants.selectors import active_tenants

PRELOADED_TENANTS = 200


def load_recent(owner: IndexOwner) -> None:
    """Ask one question in every tenant, so that after a restart the first real search finds its index in memory."""
    model = embedder()
    try:
        for tenant in active_tenants()[:PRELOADED_TENANTS]:
            owner.answer(protocol.Search(tenant.id, model.model_id, 1, text="warm"))
    finally:
        connections.close_all()


class Command(BaseCommand):
    help = "Serve vector search from memory, one process per node. Runs until SIGTERM, then saves its indexes."

    def handle(self, *args: Any, **options: Any) -> None:
        settings = intelligence_settings()
        try:
            with owner_lock(settings.indexes_dir):
                embedder().embed(["warm"])
                owner = IndexOwner()
                server = OwnerServer(owner, settings.socket)
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda *_: server.stop())
                beating = beat_in_background("index_owner")
                threading.Thread(target=load_recent, args=(owner,), name="index-preload", daemon=True).start()
                try:
                    server.run()
                finally:
                    beating.set()
        except AlreadyOwned as error:
            raise CommandError(str(error)) from error
