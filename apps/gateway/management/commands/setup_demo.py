"""`manage.py setup_demo`: the demo tenant, its operator, and this repository's own documentation on its way in."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.core.conf import core_settings
from apps.tenants import services
from apps.tenants.conf import DEMO_EMAIL, DEMO_HOSTS, DEMO_SLUG
from apps.tenants.errors import UnknownTenant
from apps.tenants.models import Role
from apps.tenants.selectors import tenant_by_slug


class Command(BaseCommand):
    help = "Create the demo tenant and its operator, and ingest the bundled documentation. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--password",
            default=os.environ.get("CYBERNETIC_DEMO_PASSWORD"),
            help="The operator's password. Default: CYBERNETIC_DEMO_PASSWORD.",
        )
        parser.add_argument(
            "--print", action="store_true", dest="as_json", help="Print URL, e-mail and password as JSON."
        )
        parser.add_argument("--no-content", action="store_true", help="Leave the documentation out.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["password"]:
            raise CommandError("Say the operator's password with --password or CYBERNETIC_DEMO_PASSWORD.")
        try:
            ref = tenant_by_slug(DEMO_SLUG)
            for host in DEMO_HOSTS:
                services.add_domain(ref, host)
        except UnknownTenant:
            ref = services.create_tenant(DEMO_SLUG, "Demo", domains=DEMO_HOSTS)
        user = services.create_user(DEMO_EMAIL, options["password"], name="Demo operator")
        services.set_password(DEMO_EMAIL, options["password"])
        services.add_member(ref, user, Role.OWNER)
        if not options["no_content"]:
            call_command("ingest", tenant=DEMO_SLUG, builtin=True)
        if options["as_json"]:
            answer = {"url": core_settings().base_url, "email": DEMO_EMAIL, "password": options["password"]}
            self.stdout.write(json.dumps(answer))
