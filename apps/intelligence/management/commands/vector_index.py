"""`manage.py vector_index status` and `manage.py vector_index rebuild --tenant SLUG`."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.core.errors import DomainError
from apps.core.tenancy import TenantRef, in_tenant
from apps.intelligence.models import Embedding
from apps.intelligence.ports import embedder
from apps.intelligence.vectors import client, protocol
from apps.tenants.selectors import active_tenants, tenant_by_slug

POLL_S = 0.5


class Command(BaseCommand):
    help = "Show the vector indexes in memory, or build one again from PostgreSQL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["status", "rebuild"])
        parser.add_argument("--tenant", help="the tenant's slug; rebuild needs it")
        parser.add_argument("--timeout", type=float, default=3600.0, help="seconds to wait for a rebuild")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenants = [tenant_by_slug(options["tenant"])] if options["tenant"] else active_tenants()
            if options["action"] == "status":
                self._show(tenants)
            elif not options["tenant"]:
                raise CommandError("Say which index to rebuild: --tenant SLUG.")
            else:
                self._rebuild(tenants[0], options["timeout"])
        except client.OwnerUnavailable as error:
            raise CommandError(f"No answer: {error}. `make up` starts it, or `manage.py index_owner`.") from error
        except DomainError as error:
            raise CommandError(error.detail) from error

    def _report(self) -> protocol.Report:
        reply = client.ask(protocol.Status())
        if not isinstance(reply, protocol.Report):
            raise CommandError(f"The index owner sent {type(reply).__name__} instead of its status.")
        return reply

    def _show(self, tenants: list[TenantRef]) -> None:
        report = self._report()
        self.stdout.write(
            f"{report.backend}, model {report.model_id}, process {report.pid}, up {report.uptime_s:.0f} s"
        )
        if report.detail:
            self.stdout.write(report.detail)
        loaded = {index.tenant: index for index in report.indexes}
        for tenant in tenants:
            with in_tenant(tenant):
                stored = Embedding.objects.filter(model_id=embedder().model_id).count()
            index = loaded.get(tenant.id)
            memory = "not in memory"
            if index is not None:
                memory = (
                    f"{index.state}, {index.count} in the index, {index.bytes / 1e6:.1f} MB {index.detail}".rstrip()
                )
            self.stdout.write(f"{tenant.slug}: {stored} in PostgreSQL, {memory}")

    def _rebuild(self, tenant: TenantRef, timeout_s: float) -> None:
        with in_tenant(tenant):
            total = Embedding.objects.filter(model_id=embedder().model_id).count()
        client.ask(protocol.Rebuild(tenant.id))
        started = time.monotonic()
        while time.monotonic() - started < timeout_s:
            found = next((index for index in self._report().indexes if index.tenant == tenant.id), None)
            if found is not None and found.state == "failed":
                raise CommandError(f"The rebuild failed: {found.detail}")
            if found is not None and found.state == "ready" and not found.detail:
                self.stdout.write(f"{tenant.slug}: {found.count} vectors in {time.monotonic() - started:.1f} s")
                return
            self.stdout.write(f"{tenant.slug}: building {total} vectors, {time.monotonic() - started:.0f} s")
            time.sleep(POLL_S)
        raise CommandError("The rebuild is still running; `vector_index status` shows it.")
