"""Sources, documents, runs and containers in the operator console."""

import json
from uuid import UUID

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from apps.content.models import Document, IngestRun, SemanticContainer, Source
from apps.content.services.documents import retry_document
from apps.content.services.sources import pause_source, resume_source
from apps.core.admin_site import (
    OperatorModelAdmin,
    ReasonForm,
    WithinFilter,
    command,
    label,
    link_to,
    link_to_list,
    operator_site,
    preformatted,
)
from apps.core.correlation import correlation, current_correlation_id
from apps.vsm.selectors import correlation_of_episode

SOURCE_COLOURS = {Source.State.ACTIVE: "success", Source.State.PAUSED: "danger"}
DOCUMENT_COLOURS = {
    Document.Status.PENDING: "info",
    Document.Status.PROCESSING: "primary",
    Document.Status.READY: "success",
    Document.Status.FAILED: "danger",
    Document.Status.HELD: "warning",
    Document.Status.REMOVED: "warning",
}


def _resume(request: HttpRequest, source_id: UUID) -> None:
    """Resume a source under the correlation id of the episode that paused it, so that its story stays one."""
    episode_id = Source.objects.filter(pk=source_id).values_list("paused_episode_id", flat=True).first()
    cause = correlation_of_episode(episode_id) if episode_id else None
    with correlation(cause or current_correlation_id()):
        resume_source(source_id, actor=str(request.user))


@admin.register(Source, site=operator_site)
class SourceAdmin(OperatorModelAdmin):
    """Where content comes from; pause and resume, and why one is paused."""

    list_display = (
        "name",
        "kind",
        "state_label",
        "documents",
        "failed",
        "held",
        "pause_reason",
        "episode",
        "created_at",
    )
    list_filter = ("state", "kind")
    search_fields = ("name", "uri", "pause_reason")
    fields = (
        "name",
        "kind",
        "uri",
        "state",
        "pause_reason",
        "paused_at",
        "episode",
        "documents",
        "failed",
        "held",
        "id",
    )
    readonly_fields = ("episode", "documents", "failed", "held", "id")
    actions = ("resume_selected",)
    actions_detail = ("pause_one", "resume_one")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        found: QuerySet[Source] = super().get_queryset(request)
        return found.annotate(
            document_count=Count("documents", filter=~Q(documents__status=Document.Status.REMOVED)),
            failed_count=Count("documents", filter=Q(documents__status=Document.Status.FAILED)),
            held_count=Count("documents", filter=Q(documents__status=Document.Status.HELD)),
        )

    @label("State", SOURCE_COLOURS, ordering="state")
    def state_label(self, row: Source) -> str:
        return row.state

    @admin.display(description="Documents", ordering="document_count")
    def documents(self, row: Source) -> SafeString:
        return link_to_list("content_document", row.document_count, source__id__exact=row.pk)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="Failed", ordering="failed_count")
    def failed(self, row: Source) -> SafeString:
        return link_to_list(
            "content_document",
            row.failed_count,  # type: ignore[attr-defined]  # annotated
            source__id__exact=row.pk,
            status__exact="failed",
        )

    @admin.display(description="Held", ordering="held_count")
    def held(self, row: Source) -> SafeString:
        return link_to_list(
            "content_document",
            row.held_count,  # type: ignore[attr-defined]  # annotated
            source__id__exact=row.pk,
            status__exact="held",
        )

    @admin.display(description="Paused by episode")
    def episode(self, row: Source) -> str:
        return link_to("vsm_episode", row.paused_episode_id, "Why") if row.paused_episode_id else ""

    @admin.action(description="Resume", permissions=["operate"])
    def resume_selected(self, request: HttpRequest, rows: QuerySet[Source]) -> None:
        self.act_on_each(request, rows, "Resumed", lambda row: _resume(request, row.pk))

    @command(
        "Pause",
        question="Pause this source?",
        explanation="Documents not fetched yet are held until it is resumed.",
        form=ReasonForm,
    )
    def pause_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        reason = f"{form.cleaned_data['reason']} ({request.user})"
        return self.act_on_one(
            request, object_id, f"Paused: {reason}", lambda row: pause_source(row.pk, reason=reason, episode_id=None)
        )

    @command(
        "Resume",
        question="Resume this source?",
        explanation="Held documents are fetched again; an episode that paused it is resolved.",
    )
    def resume_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self.act_on_one(request, object_id, "Resumed", lambda row: _resume(request, row.pk))


@admin.register(Document, site=operator_site)
class DocumentAdmin(OperatorModelAdmin):
    """Every item, how far it has come, and what stopped it."""

    list_display = (
        "__str__",
        "status_label",
        "stage",
        "progress_percent",
        "source",
        "error_code",
        "attempts",
        "updated_at",
    )
    list_filter = ("status", "stage", "source", WithinFilter)
    list_select_related = ("source",)
    search_fields = ("title", "uri", "error_code", "error_detail")
    uuid_search_fields = ("id", "run_id", "job_id")
    actions = ("retry_selected",)
    actions_detail = ("retry_one",)
    fieldsets = (
        (
            None,
            {"fields": ("title", "uri", "source", "run", "status", "stage", "progress", "error_code", "error_detail")},
        ),
        ("Content", {"fields": ("media_type", "content_hash", "blob", "container_link", "job_link", "attempts")}),
        ("Times", {"fields": ("created_at", "fetched_at", "indexed_at", "removed_at", "updated_at", "id")}),
    )
    readonly_fields = ("container_link", "job_link", "id")

    @label("Status", DOCUMENT_COLOURS, ordering="status")
    def status_label(self, row: Document) -> str:
        return row.status

    @admin.display(description="Progress", ordering="progress")
    def progress_percent(self, row: Document) -> str:
        return f"{row.progress:.0%}"

    @admin.display(description="Container")
    def container_link(self, row: Document) -> str:
        container = SemanticContainer.objects.filter(document=row).first()
        return link_to("content_semanticcontainer", container.pk, container.title or container.pk) if container else ""

    @admin.display(description="Job")
    def job_link(self, row: Document) -> str:
        return link_to("core_job", row.job_id, row.job_id) if row.job_id else ""

    @admin.action(description="Retry", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, rows: QuerySet[Document]) -> None:
        self.act_on_each(request, rows, "Retried", lambda row: retry_document(row.pk))

    @command("Retry", question="Retry this document?", explanation="It starts again from the stage that failed.")
    def retry_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self.act_on_one(request, object_id, "Retried", lambda row: retry_document(row.pk))


@admin.register(IngestRun, site=operator_site)
class IngestRunAdmin(OperatorModelAdmin):
    list_display = ("origin", "status", "source", "total", "ready", "failed", "created_at", "finished_at")
    list_filter = ("status", "source", WithinFilter)
    list_select_related = ("source",)
    search_fields = ("origin",)
    uuid_search_fields = ("id", "correlation_id")
    fields = (
        "origin",
        "source",
        "status",
        "total",
        "unchanged",
        "removed",
        "ready",
        "failed",
        "story",
        "created_at",
        "finished_at",
        "id",
    )
    readonly_fields = ("ready", "failed", "story", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[IngestRun]:
        found: QuerySet[IngestRun] = super().get_queryset(request)
        return found.annotate(
            ready_count=Count("documents", filter=Q(documents__status=Document.Status.READY)),
            failed_count=Count("documents", filter=Q(documents__status=Document.Status.FAILED)),
        )

    @admin.display(description="Ready")
    def ready(self, row: IngestRun) -> int:
        return int(row.ready_count)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="Failed")
    def failed(self, row: IngestRun) -> int:
        return int(row.failed_count)  # type: ignore[attr-defined]  # annotated

    @admin.display(description="Events")
    def story(self, row: IngestRun) -> SafeString:
        return link_to_list("core_event", "Everything this run led to", q=row.correlation_id)


@admin.register(SemanticContainer, site=operator_site)
class SemanticContainerAdmin(OperatorModelAdmin):
    list_display = ("__str__", "content_type", "capability_list", "active", "document", "updated_at")
    list_filter = ("content_type", "active")
    list_select_related = ("document",)
    search_fields = ("title",)
    uuid_search_fields = ("id", "document_id")
    fields = (
        "title",
        "content_type",
        "capability_list",
        "active",
        "document",
        "shown_policy",
        "shown_provenance",
        "created_at",
        "updated_at",
        "id",
    )
    readonly_fields = ("capability_list", "shown_policy", "shown_provenance", "updated_at", "id")

    @admin.display(description="Capabilities")
    def capability_list(self, row: SemanticContainer) -> str:
        return ", ".join(row.capabilities)

    @admin.display(description="Policy")
    def shown_policy(self, row: SemanticContainer) -> SafeString:
        return preformatted(json.dumps(row.policy, indent=2))

    @admin.display(description="Provenance")
    def shown_provenance(self, row: SemanticContainer) -> SafeString:
        return preformatted(json.dumps(row.provenance, indent=2))
