"""`manage.py policy list | replay ID | dry-run`: what is in force, and whether decisions can be repeated."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table

from apps.core.errors import DomainError
from apps.core.tenancy import in_tenant
from apps.tenants.selectors import tenant_by_slug
from apps.vsm import selectors, services
from apps.vsm.models import Policy


class Command(BaseCommand):
    help = "List policies, replay a recorded decision, or show what would be decided."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        shown = commands.add_parser("list", help="Every version of every policy.")
        replay = commands.add_parser("replay", help="Decide a recorded decision again; exit status 1 when it differs.")
        replay.add_argument("id", type=UUID, help="The decision's id.")
        dry = commands.add_parser(
            "dry-run", help="What would be decided on an episode, or on all that have an analysis."
        )
        dry.add_argument("--episode", type=UUID, help="One episode's id; all of the newest 100 when left out.")
        dry.add_argument("--file", type=Path, help="Rules as JSON, tried in place of the active version of --name.")
        dry.add_argument("--name", default="candidate", help="The policy that --file stands in for.")
        for sub in (shown, replay, dry):
            sub.add_argument("--tenant", required=True, help="The tenant's slug.")
            sub.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with in_tenant(tenant_by_slug(options["tenant"])):
                rows, ok = getattr(self, f"_{options['command'].replace('-', '_')}")(options)
        except DomainError as error:
            raise CommandError(error.detail) from None
        if options["json"]:
            print(json.dumps(rows, indent=2))
        else:
            _print_table(rows)
        if not ok:
            sys.exit(1)

    def _list(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        rows = Policy.objects.order_by("name", "-version")
        return [
            {"policy": str(row), "active": row.active, "priority": row.priority, "id": str(row.id)} for row in rows
        ], True

    def _replay(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        replay = services.replay_decision(options["id"])
        row = {
            "decision": str(replay.decision_id),
            "recorded": replay.recorded,
            "replayed": replay.replayed,
            "identical": replay.identical,
            "differences": "; ".join(replay.differences),
        }
        return [row], replay.identical

    def _dry_run(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        candidate = json.loads(options["file"].read_text()) if options["file"] else None
        episodes = selectors.episodes_visible().exclude(analysis_method="")
        ids = [options["episode"]] if options["episode"] else list(episodes.values_list("pk", flat=True)[:100])
        rows = []
        for episode_id in ids:
            run = services.dry_run_policies(episode_id, candidate=candidate, name=options["name"])
            rows.append(
                {
                    "episode": str(run.episode_id),
                    "title": run.title,
                    "would be": f"{run.verdict.outcome} {run.verdict.action}".strip(),
                    "was": run.recorded_outcome,
                    "reason": run.verdict.reason,
                }
            )
        return rows, True


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        print("Nothing to show.")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
