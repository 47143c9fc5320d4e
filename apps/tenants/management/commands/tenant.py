"""`manage.py tenant create|list`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.errors import DomainError
from apps.core.tenancy import in_system
from apps.tenants import services
from apps.tenants.models import Role, Tenant


class Command(BaseCommand):
    help = "Manage tenants."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        create = commands.add_parser("create", help="Make a tenant with a schema of its own.")
        create.add_argument("slug")
        create.add_argument("--name", default="")
        create.add_argument("--domain", action="append", default=[], help="A host that leads to it; may be repeated.")
        create.add_argument("--operator", default="", help="E-mail of its first operator.")
        create.add_argument("--password", default="", help="Their password, when the user is new.")
        commands.add_parser("list", help="Show all tenants.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['command']}")(options)
        except DomainError as error:
            raise CommandError(error.detail) from None

    def _create(self, options: dict[str, Any]) -> None:
        if options["operator"] and not options["password"]:
            raise CommandError("--operator needs --password.")
        ref = services.create_tenant(options["slug"], options["name"], domains=tuple(options["domain"]))
        if options["operator"]:
            user = services.create_user(options["operator"], options["password"])
            services.add_member(ref, user, Role.OWNER)
        self.stdout.write(f"Created tenant {ref.slug} ({ref.id}).")

    def _list(self, options: dict[str, Any]) -> None:
        with in_system("tenant administration"):
            for tenant in Tenant.objects.prefetch_related("domains").order_by("slug"):
                hosts = ", ".join(domain.domain for domain in tenant.domains.all()) or "no host"
                self.stdout.write(f"{tenant.slug:<20} {tenant.status:<10} {hosts}  {tenant.name}")
