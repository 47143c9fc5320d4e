"""The shapes of ingest in the API."""

from typing import Any

from rest_framework import serializers

from apps.content.models import Document, IngestRun, Source
from apps.content.selectors.runs import RunProgress
from apps.core.api.serializers import StrictSerializer


class IngestUrlInput(StrictSerializer):
    """Something to fetch."""

    url = serializers.CharField(max_length=2000, help_text="http or https; public addresses only.")
    source = serializers.CharField(max_length=200, required=False, help_text="Name to show for the URL's origin.")  # type: ignore[assignment]  # a field called source


class IngestUploadInput(StrictSerializer):
    """One file, as multipart/form-data."""

    file = serializers.FileField(allow_empty_file=True, max_length=None)


class IngestAccepted(serializers.Serializer[Any]):
    """202: follow the run, or its documents' events."""

    run_id = serializers.UUIDField()
    document_ids = serializers.ListField(child=serializers.UUIDField())


class ProgressOutput(serializers.Serializer[RunProgress]):
    """Counted from the documents of the run at the moment of the request."""

    total = serializers.IntegerField()
    done = serializers.IntegerField(help_text="Found by search, unchanged ones included.")
    failed = serializers.IntegerField()
    held = serializers.IntegerField(help_text="Waiting for a paused source to be resumed.")
    pending = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    removed = serializers.IntegerField()
    percent = serializers.FloatField()
    rate_per_s = serializers.FloatField(help_text="Documents per second, over the last half minute.")
    eta_s = serializers.FloatField(allow_null=True)
    elapsed_s = serializers.FloatField()
    stages = serializers.DictField(child=serializers.IntegerField(), help_text="Unfinished documents by stage.")


class RunOutput(serializers.ModelSerializer[IngestRun]):
    """One request to bring content in. The view passes `progress` by run id in the context."""

    source = serializers.CharField(source="source.name", read_only=True)  # type: ignore[assignment]  # a field called source
    source_id = serializers.UUIDField(read_only=True)
    progress = serializers.SerializerMethodField()

    class Meta:
        model = IngestRun
        fields = (
            "id",
            "source",
            "source_id",
            "origin",
            "status",
            "progress",
            "correlation_id",
            "created_at",
            "finished_at",
        )

    def get_progress(self, run: IngestRun) -> dict[str, Any]:
        return dict(ProgressOutput(self.context["progress"][run.pk]).data)


class RunFilters(StrictSerializer):
    status = serializers.ChoiceField(IngestRun.Status.choices, required=False)
    source = serializers.UUIDField(required=False, source="source_id")  # type: ignore[assignment]  # a field called source


class DocumentOutput(serializers.ModelSerializer[Document]):
    """One item of one source, and how far it has come."""

    source = serializers.CharField(source="source.name", read_only=True)  # type: ignore[assignment]  # a field called source
    source_id = serializers.UUIDField(read_only=True)
    run_id = serializers.UUIDField(read_only=True, allow_null=True)
    size_bytes = serializers.IntegerField(source="blob.size_bytes", read_only=True, allow_null=True, default=None)
    language = serializers.CharField(source="blob.language", read_only=True, default="")

    class Meta:
        model = Document
        fields = (
            "id",
            "title",
            "uri",
            "media_type",
            "language",
            "size_bytes",
            "source",
            "source_id",
            "run_id",
            "status",
            "stage",
            "progress",
            "error_code",
            "error_detail",
            "attempts",
            "job_id",
            "content_hash",
            "fetched_at",
            "indexed_at",
            "created_at",
            "updated_at",
        )


class DocumentFilters(StrictSerializer):
    status = serializers.ChoiceField(
        [choice for choice in Document.Status.choices if choice[0] != Document.Status.REMOVED], required=False
    )
    source = serializers.UUIDField(required=False, source="source_id")  # type: ignore[assignment]  # a field called source
    run = serializers.UUIDField(required=False, source="run_id")


class HeadingOutput(serializers.Serializer[Any]):
    level = serializers.IntegerField()
    text = serializers.CharField()
    start = serializers.IntegerField()


class ContentOutput(serializers.Serializer[Any]):
    """The text that offsets of citations and highlights count in."""

    document_id = serializers.UUIDField()
    title = serializers.CharField()
    media_type = serializers.CharField()
    language = serializers.CharField()
    content_hash = serializers.CharField()
    text = serializers.CharField()
    headings = HeadingOutput(many=True)


class SourceOutput(serializers.ModelSerializer[Source]):
    """Where documents come from, with how many of them are in which state."""

    documents_total = serializers.IntegerField(read_only=True)
    documents_ready = serializers.IntegerField(read_only=True)
    documents_failed = serializers.IntegerField(read_only=True)
    documents_held = serializers.IntegerField(read_only=True)

    class Meta:
        model = Source
        fields = (
            "id",
            "kind",
            "name",
            "uri",
            "state",
            "pause_reason",
            "paused_at",
            "paused_episode_id",
            "documents_total",
            "documents_ready",
            "documents_failed",
            "documents_held",
            "created_at",
        )


class SourceFilters(StrictSerializer):
    kind = serializers.ChoiceField(Source.Kind.choices, required=False)
    state = serializers.ChoiceField(Source.State.choices, required=False)


class PauseInput(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class RetriedOutput(serializers.Serializer[Any]):
    document_id = serializers.UUIDField()
    job_id = serializers.UUIDField()
