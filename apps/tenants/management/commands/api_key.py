"""`manage.py api_key create|list|revoke`."""

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import DomainError
from apps.core.tenancy import in_tenant
from apps.tenants import services
from apps.tenants.models import ApiKey, Role
from apps.tenants.selectors import tenant_by_slug


class Command(BaseCommand):
    help = "Manage a tenant's API keys. `create` prints only the key: it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        create = commands.add_parser("create", help="Make a key and print it once.")
        create.add_argument("--tenant", required=True, help="The tenant's slug, such as demo.")
        create.add_argument("--name", required=True, help="What the key is for.")
        create.add_argument("--role", choices=Role.values, default=Role.OPERATOR, help="Default: operator.")
        listing = commands.add_parser("list", help="Show the keys, without their secrets.")
        listing.add_argument("--tenant", required=True)
        revoke = commands.add_parser("revoke", help="Make a key open nothing any more.")
        revoke.add_argument("--tenant", required=True)
        revoke.add_argument("id", type=UUID)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with in_tenant(tenant_by_slug(options["tenant"])):
                getattr(self, f"_{options['command']}")(options)
        except DomainError as error:
            raise CommandError(error.detail) from None

    def _create(self, options: dict[str, Any]) -> None:
        _, plain = services.create_api_key(options["name"], role=options["role"])
        self.stdout.write(plain)

    def _list(self, options: dict[str, Any]) -> None:
        for key in ApiKey.objects.order_by("-created_at"):
            state = "revoked" if key.revoked_at else "active"
            used = key.last_used_at.isoformat(timespec="minutes") if key.last_used_at else "never used"
            self.stdout.write(f"{key.id}  cyb_{key.prefix}_…  {key.role:<8}  {state:<7}  {used}  {key.name}")

    def _revoke(self, options: dict[str, Any]) -> None:
        services.revoke_api_key(options["id"])
        self.stdout.write("Revoked.")
