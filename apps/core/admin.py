"""Jobs and the event log in the operator console."""

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin_site import (
    OperatorModelAdmin,
    WithinFilter,
    command,
    label,
    link_to_list,
    operator_site,
    preformatted,
)
from apps.core.events import registered_events
from apps.core.jobs import cancel_job, retry_job
from apps.core.models import UNFINISHED, WAITING, Event, EventCursor, Job, JobState

STATE_COLOURS = {
    JobState.AVAILABLE: "info",
    JobState.SCHEDULED: "info",
    JobState.EXECUTING: "primary",
    JobState.RETRYABLE: "warning",
    JobState.COMPLETED: "success",
    JobState.DISCARDED: "danger",
    JobState.QUARANTINED: "danger",
    JobState.CANCELLED: "warning",
}


class PhaseFilter(admin.SimpleListFilter):
    title = "phase"
    parameter_name = "phase"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("waiting", "Waiting"), ("later", "For later"), ("unfinished", "Unfinished"), ("failed", "Failed"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        match self.value():
            case "waiting":
                return queryset.filter(state__in=WAITING, scheduled_at__lte=timezone.now())
            case "later":
                return queryset.filter(state__in=WAITING, scheduled_at__gt=timezone.now())
            case "unfinished":
                return queryset.filter(state__in=UNFINISHED)
            case "failed":
                return queryset.filter(state__in=(JobState.DISCARDED, JobState.QUARANTINED))
            case _:
                return queryset


@admin.register(Job, site=operator_site)
class JobAdmin(OperatorModelAdmin):
    """What the workers do, did and will do; retry and cancel."""

    list_display = (
        "name",
        "state_label",
        "queue",
        "progress_percent",
        "stage",
        "attempts",
        "cause_code",
        "age",
        "took",
    )
    list_filter = ("state", "queue", PhaseFilter, WithinFilter)
    search_fields = ("name", "cause_code", "cause_detail")
    uuid_search_fields = ("id", "correlation_id")
    actions = ("retry_selected", "cancel_selected")
    actions_detail = ("retry_one", "cancel_one")
    fieldsets = (
        (None, {"fields": ("name", "queue", "state", "stage", "progress", "attempts", "cause_code", "cause_detail")}),
        ("Work", {"fields": ("arguments", "unique_key", "priority", "worker", "worker_losses")}),
        (
            "Times",
            {
                "fields": (
                    "created_at",
                    "scheduled_at",
                    "started_at",
                    "lease_expires_at",
                    "finished_at",
                    "cancel_requested_at",
                )
            },
        ),
        ("Cause and effect", {"fields": ("correlation_id", "events")}),
    )

    @label("State", STATE_COLOURS, ordering="state")
    def state_label(self, row: Job) -> str:
        return row.state

    @admin.display(description="Progress", ordering="progress")
    def progress_percent(self, row: Job) -> str:
        return f"{row.progress:.0%}"

    @admin.display(description="Attempt")
    def attempts(self, row: Job) -> str:
        return f"{row.attempt} of {row.max_attempts}"

    @admin.display(description="Created", ordering="created_at")
    def age(self, row: Job) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="Took")
    def took(self, row: Job) -> str:
        if not row.started_at or not row.finished_at:
            return ""
        return f"{(row.finished_at - row.started_at).total_seconds():.2f} s"

    @admin.display(description="Arguments")
    def arguments(self, row: Job) -> SafeString:
        return preformatted(json.dumps(row.args, indent=2))

    @admin.display(description="Events")
    def events(self, row: Job) -> SafeString:
        return link_to_list("core_event", "Everything this cause led to", q=row.correlation_id)

    @admin.action(description="Retry", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        self.act_on_each(request, rows, "Retried", lambda row: retry_job(row.pk))

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[Job]) -> None:
        self.act_on_each(request, rows, "Cancelled", lambda row: cancel_job(row.pk))

    @command("Retry", question="Retry this job?", explanation="It gets a fresh set of attempts.")
    def retry_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self.act_on_one(request, object_id, "Retried", lambda row: retry_job(row.pk))

    @command("Cancel", question="Cancel this job?", explanation="An executing job stops at its next step.")
    def cancel_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self.act_on_one(request, object_id, "Cancelled", lambda row: cancel_job(row.pk))


class EventNameFilter(admin.SimpleListFilter):
    title = "event"
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in sorted(registered_events())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(name=self.value()) if self.value() else queryset


class OccurredFilter(WithinFilter):
    field_name = "occurred_at"


@admin.register(Event, site=operator_site)
class EventAdmin(OperatorModelAdmin):
    """The log: what happened, in the tenant's own order. Nothing here can be changed."""

    list_display = ("seq", "name", "occurred", "summary", "cause")
    list_display_links = ("seq", "name")
    list_filter = (EventNameFilter, OccurredFilter)
    search_fields = ("name",)
    uuid_search_fields = ("id", "correlation_id")
    fields = ("seq", "name", "occurred_at", "schema_version", "cause", "content", "id")
    readonly_fields = ("cause", "content", "id")

    @admin.display(description="Time", ordering="occurred_at")
    def occurred(self, row: Event) -> str:
        return f"{row.occurred_at:%Y-%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="Content")
    def summary(self, row: Event) -> str:
        return json.dumps(row.payload, ensure_ascii=False)[:160]

    @admin.display(description="Correlation")
    def cause(self, row: Event) -> SafeString:
        return link_to_list("core_event", row.correlation_id, q=row.correlation_id)

    @admin.display(description="Content")
    def content(self, row: Event) -> SafeString:
        return preformatted(json.dumps(row.payload, indent=2, ensure_ascii=False))


@admin.register(EventCursor, site=operator_site)
class EventCursorAdmin(OperatorModelAdmin):
    """How far each subscriber has read this tenant's log, and what stops it."""

    list_display = ("subscriber", "last_seq", "failures", "last_error", "retry_at")
    fields = list_display
