"""`manage.py migrate_all`: shared tables, the template, every tenant; then row-level security on all of them."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from psycopg import sql

from apps.core.tenancy import TenantRef, in_system
from apps.tenants.conf import TEMPLATE_SCHEMA
from apps.tenants.models import Tenant
from apps.tenants.schemas import (
    owner_connection,
    schema_exists,
    secure_shared_tables,
    secure_template,
    secure_tenant_schema,
)


class Command(BaseCommand):
    help = "Migrate the shared schema, the tenant template and every tenant, then secure their tables. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="Print only what was done.")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.DATABASE_ROLE != "owner":
            raise CommandError("Migrations run as the owner: set CYBERNETIC_DB_ROLE=owner for this command.")
        self._migrate("public")
        with owner_connection() as connection:
            secure_shared_tables(connection)
            if not schema_exists(connection, TEMPLATE_SCHEMA):
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(TEMPLATE_SCHEMA)))
        self._migrate(TEMPLATE_SCHEMA)
        with owner_connection() as connection:
            secure_template(connection)
        with in_system("migrations"):
            known = list(Tenant.objects.order_by("id"))
        with owner_connection() as connection:
            tenants = [tenant for tenant in known if schema_exists(connection, tenant.schema_name)]
        for tenant in tenants:
            self._migrate_tenant(tenant.ref)
        self.stdout.write(f"Migrated the shared schema, the template and {len(tenants)} tenants.")

    def _migrate(self, schema: str) -> None:
        call_command("migrate_schemas", schema_name=schema, interactive=False, verbosity=0)

    def _migrate_tenant(self, ref: TenantRef) -> None:
        self._migrate(ref.schema)
        with owner_connection() as connection:
            secure_tenant_schema(connection, ref)
