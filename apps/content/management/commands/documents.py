"""`manage.py documents list|retry --tenant SLUG [--failed | ID...]`."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.content.models import Document
from apps.content.selectors.documents import documents_visible
from apps.content.services.documents import retry_failed_documents
from apps.core.correlation import correlation
from apps.core.errors import DomainError
from apps.core.tenancy import in_tenant
from apps.tenants.selectors import tenant_by_slug

MAX_LISTED = 1000


class Command(BaseCommand):
    help = "List documents, or process failed ones again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["list", "retry"])
        parser.add_argument("ids", nargs="*", type=UUID, metavar="ID", help="document ids")
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--failed", action="store_true", help="every document that failed")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]  # ids may follow the options
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with in_tenant(tenant_by_slug(options["tenant"])), correlation():
                if options["action"] == "list":
                    self._list(options)
                else:
                    self._retry(options)
        except DomainError as error:
            raise CommandError(error.detail) from None

    def _list(self, options: dict[str, Any]) -> None:
        rows = documents_visible()
        if options["failed"]:
            rows = rows.filter(status=Document.Status.FAILED)
        if options["ids"]:
            rows = rows.filter(pk__in=options["ids"])
        shown = [
            {
                "id": str(row.pk),
                "status": row.status,
                "uri": row.uri,
                "code": row.error_code,
                "detail": row.error_detail,
            }
            for row in rows[:MAX_LISTED]
        ]
        if options["json"]:
            self.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2))
            return
        for row in shown:
            self.stdout.write("  ".join(part for part in row.values() if part))

    def _retry(self, options: dict[str, Any]) -> None:
        if bool(options["ids"]) == options["failed"]:
            raise CommandError("Say which documents: their ids, or --failed for all that failed.")
        retried, refused = retry_failed_documents(options["ids"] or None)
        if options["json"]:
            self.stdout.write(json.dumps({"retried": [str(i) for i in retried], "refused": [str(i) for i in refused]}))
        else:
            self.stdout.write(f"{len(retried)} documents are being processed again.")
        if refused:
            names = ", ".join(str(document_id) for document_id in refused[:10])
            raise CommandError(
                f"{len(refused)} cannot be tried again, because their content never arrived or they did not fail:"
                f" {names}. Bring them in again with `manage.py ingest`."
            )
