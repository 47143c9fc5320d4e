"""`manage.py ingest PATH_OR_URL... --tenant SLUG [--wait]`: files and folders of this server, and URLs."""

import json
import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from apps.content.folder_scan import Folder, bundled_documentation, scan
from apps.content.models import Document
from apps.content.selectors.documents import failed_documents_of_run
from apps.content.selectors.runs import RunProgress, progress_of_runs, run_by_id
from apps.content.services.ingest import FilesIngested, ingest_files, ingest_url
from apps.core.correlation import correlation
from apps.core.errors import DomainError
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.selectors import tenant_by_slug

POLL_S = 0.5
LINE_EVERY_S = 5.0
QUIET_AFTER_S = 30.0
MAX_FAILURES_SHOWN = 50
_URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")


class Command(BaseCommand):
    help = "Bring files, folders (with what is below them) and URLs into a tenant."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("targets", nargs="*", metavar="PATH_OR_URL")
        parser.add_argument("--tenant", required=True, help="the tenant's slug")
        parser.add_argument("--wait", action="store_true", help="stay until all of it can be found by search")
        parser.add_argument("--source", help="name to show for where this comes from")
        parser.add_argument(
            "--prune", action="store_true", help="confirm the removal of many documents whose file is gone"
        )
        parser.add_argument("--builtin", action="store_true", help="bring in the documentation of this platform")
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout when done")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["targets"] and not options["builtin"]:
            raise CommandError("Say what to bring in: files, folders or URLs.")
        console = Console(stderr=True)
        try:
            tenant = tenant_by_slug(options["tenant"])
            urls = [target for target in options["targets"] if _URL.match(target)]
            folders = scan([target for target in options["targets"] if not _URL.match(target)])
            if options["builtin"]:
                folders.append(bundled_documentation())
            with correlation():
                results = [_take_in(tenant, folder, options, console) for folder in folders]
                run_ids = [result.run.pk for result in results]
                with in_tenant(tenant):
                    run_ids += [ingest_url(url, source_name=options["source"]).pk for url in urls]
        except DomainError as error:
            raise CommandError(error.detail) from None
        if options["wait"]:
            _wait(tenant, run_ids, console)
        self._report(tenant, run_ids, results, options)

    def _report(
        self, tenant: TenantRef, run_ids: list[UUID], results: list[FilesIngested], options: dict[str, Any]
    ) -> None:
        with in_tenant(tenant):
            progress = progress_of_runs([run_by_id(run_id) for run_id in run_ids])
            failures = [row for run_id in run_ids for row in failed_documents_of_run(run_id, limit=MAX_FAILURES_SHOWN)]
        failed = sum(one.failed for one in progress.values())
        held = sum(one.held for one in progress.values())
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(progress, failures), default=str, ensure_ascii=False, indent=2))
        else:
            self._report_lines(progress, failures, results, waited=options["wait"])
        problems = []
        if failed:
            again = f"manage.py documents retry --tenant {options['tenant']} --failed"
            problems.append(
                f"{failed} failed: mend the cause and run this command again; a failure that passes by itself: {again}"
            )
        if held and options["wait"]:
            problems.append(f"{held} are held because their source is paused; resume it in the console or the API")
        if problems:
            raise CommandError(". ".join(problems) + ".")

    def _report_lines(
        self, progress: dict[UUID, RunProgress], failures: list[Document], results: list[FilesIngested], *, waited: bool
    ) -> None:
        for row in failures[:MAX_FAILURES_SHOWN]:
            self.stdout.write(f"failed  {row.uri}  {row.error_code}: {row.error_detail}")
        for result in results:
            if result.kept:
                self.stdout.write(
                    f"{len(result.kept)} of this source's files are gone, more than half of it: their documents were"
                    " kept. Run again with --prune to remove them."
                )
        total = _sum(list(progress.values()))
        ended = total.done + total.failed
        parts = [f"{total.total} items", f"{total.done} in search" if waited else f"{total.pending} being processed"]
        parts += [f"{total.unchanged} unchanged"] if total.unchanged else []
        parts += [f"{total.removed} removed"] if total.removed else []
        parts += [f"{total.failed} failed"] if total.failed else []
        parts += [f"{total.held} held by a paused source"] if total.held else []
        if waited and ended > total.unchanged:
            parts.append(f"{total.elapsed_s:.1f} s, {(ended - total.unchanged) / total.elapsed_s:.1f} documents/s")
        self.stdout.write(", ".join(parts) + ".")
        for run_id in progress:
            self.stdout.write(f"run {run_id}")


def _take_in(tenant: TenantRef, folder: Folder, options: dict[str, Any], console: Console) -> FilesIngested:
    """Read and store one folder's files, showing how far it is."""
    if folder.skipped:
        kinds = ", ".join(f"{count} {suffix or 'without ending'}" for suffix, count in folder.skipped.most_common(8))
        console.print(
            f"{folder.root}: {sum(folder.skipped.values())} files in formats not read yet are skipped ({kinds})."
        )
    with _display(console) as display:
        task = display.add_task("taking in", total=len(folder.files), note="")

        def advance() -> None:
            display.advance(task)

        with in_tenant(tenant):
            return ingest_files(
                folder.uri,
                folder.items(),
                total=len(folder.files),
                source_name=options["source"] or folder.name,
                rename=bool(options["source"]),
                kind=folder.kind,
                whole=folder.whole,
                prune=options["prune"],
                on_item=advance,
            )


def _wait(tenant: TenantRef, run_ids: list[UUID], console: Console) -> None:
    """Follow the runs until nothing of them is left to do."""
    with _display(console) as display:
        task = display.add_task("indexing", total=None, note="")
        say = _line_printer(console)
        changed_at = time.monotonic()
        before: tuple[int, dict[str, int]] = (-1, {})
        while True:
            with in_tenant(tenant):
                each = list(progress_of_runs([run_by_id(run_id) for run_id in run_ids]).values())
            now = _sum(each)
            _show(display, task, now)
            if before != (now.pending, now.stages):
                changed_at, before = time.monotonic(), (now.pending, now.stages)
            if all(one.status != "running" or not one.pending for one in each):
                return
            quiet_s = time.monotonic() - changed_at
            hint = " - no progress; are the workers running (make up)?" if quiet_s > QUIET_AFTER_S else ""
            say(_describe(now) + hint)
            time.sleep(POLL_S)


def _line_printer(console: Console) -> Callable[[str], None]:
    """Prints a line every few seconds where there is no terminal for a live display."""
    last = 0.0

    def say(line: str) -> None:
        nonlocal last
        if not console.is_terminal and time.monotonic() - last >= LINE_EVERY_S:
            last = time.monotonic()
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    return say


def _display(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>5.1f}%"),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
        transient=False,
    )


def _show(display: Progress, task: TaskID, now: RunProgress) -> None:
    display.update(task, total=now.total, completed=now.done + now.failed, note=_note(now))


def _note(now: RunProgress) -> str:
    stages = " ".join(f"{stage} {count}" for stage, count in sorted(now.stages.items()))
    parts = [f"{now.rate_per_s:.1f}/s", f"ETA {_duration(now.eta_s)}"]
    parts += [f"failed {now.failed}"] if now.failed else []
    parts += [f"held {now.held}"] if now.held else []
    return "  ".join([*parts, stages])


def _describe(now: RunProgress) -> str:
    return f"{now.percent:5.1f}%  {now.done + now.failed}/{now.total}  {_note(now)}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _sum(runs: list[RunProgress]) -> RunProgress:
    """Several runs as one."""
    stages: dict[str, int] = {}
    for run in runs:
        for stage, count in run.stages.items():
            stages[stage] = stages.get(stage, 0) + count
    total, done, failed = (sum(getattr(run, name) for run in runs) for name in ("total", "done", "failed"))
    held = sum(run.held for run in runs)
    rate = sum(run.rate_per_s for run in runs)
    left = total - done - failed - held
    return RunProgress(
        run_id=runs[0].run_id,
        status=runs[0].status,
        total=total,
        done=done,
        failed=failed,
        held=held,
        unchanged=sum(run.unchanged for run in runs),
        removed=sum(run.removed for run in runs),
        percent=round(100 * (done + failed) / total, 1) if total else 100.0,
        rate_per_s=rate,
        eta_s=left / rate if rate else None,
        elapsed_s=max(run.elapsed_s for run in runs),
        stages=stages,
    )


def _as_json(progress: dict[UUID, RunProgress], failures: list[Document]) -> dict[str, Any]:
    return {
        "runs": [asdict(one) | {"pending": one.pending} for one in progress.values()],
        "failures": [
            {"document_id": row.pk, "uri": row.uri, "code": row.error_code, "detail": row.error_detail}
            for row in failures
        ],
    }
