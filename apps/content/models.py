"""Content in one tenant: sources, documents, what was read from them, and what users ask about them."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from pgvector.django import VectorField

from apps.core.ids import uuid7


class Source(models.Model):
    """Where documents come from: one web origin, one folder, the uploads."""

    class Kind(models.TextChoices):
        UPLOAD = "upload"
        WEB = "web"
        PATH = "path"
        BUILTIN = "builtin"

    class State(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200)
    uri = models.CharField(max_length=2000, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    pause_reason = models.TextField(blank=True, default="")
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_episode_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class IngestRun(models.Model):
    """One request to bring content in; its progress is counted from its documents."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="runs")
    origin = models.CharField(max_length=2000, help_text="The URL, file name or folder that was asked for.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    total = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0, help_text="Items found equal to what is already indexed.")
    removed = models.PositiveIntegerField(default=0, help_text="Documents removed because their item is gone.")
    indexed = models.PositiveIntegerField(default=0, help_text="Settled when the run completes.")
    failed = models.PositiveIntegerField(default=0, help_text="Settled when the run completes.")
    correlation_id = models.UUIDField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.origin


class Blob(models.Model):
    """One content, stored and understood once however many documents hold it."""

    class State(models.TextChoices):
        STORED = "stored"
        EXTRACTED = "extracted"
        INDEXED = "indexed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    content_hash = models.CharField(max_length=64, unique=True, help_text="BLAKE3 of the bytes and their media type.")
    media_type = models.CharField(max_length=100)
    artifact_path = models.CharField(max_length=512)
    size_bytes = models.BigIntegerField()
    text = models.TextField(blank=True, default="", help_text="Normalised text; every offset counts its characters.")
    title = models.CharField(max_length=500, blank=True, default="")
    language = models.CharField(max_length=16, blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True)
    chunker = models.CharField(max_length=60, blank=True, default="")
    state = models.CharField(max_length=10, choices=State.choices, default=State.STORED)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.title or self.content_hash[:12]


class Document(models.Model):
    """One item of one source, and how far it has come."""

    class Status(models.TextChoices):
        PENDING = "pending"
        PROCESSING = "processing"
        READY = "ready"
        FAILED = "failed"
        HELD = "held"
        REMOVED = "removed"

    class Stage(models.TextChoices):
        FETCH = "fetch"
        NORMALISE = "normalise"
        EXTRACT = "extract"
        CHUNK = "chunk"
        EMBED = "embed"
        CONTAINERISE = "containerise"
        INDEX = "index"
        DONE = "done"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="documents")
    run = models.ForeignKey(IngestRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="documents")
    external_id = models.CharField(max_length=2000, help_text="The item's own id in its source.")
    uri = models.CharField(max_length=2000)
    title = models.CharField(max_length=500, blank=True, default="")
    media_type = models.CharField(max_length=100, blank=True, default="")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    stage = models.CharField(max_length=12, choices=Stage.choices, default=Stage.FETCH)
    progress = models.FloatField(default=0)
    error_code = models.CharField(max_length=60, blank=True, default="")
    error_detail = models.TextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, blank=True, related_name="documents")
    job_id = models.UUIDField(null=True, blank=True)
    content_hash = models.CharField(max_length=64, blank=True, default="")
    etag = models.CharField(max_length=500, blank=True, default="")
    fetched_at = models.DateTimeField(null=True, blank=True)
    indexed_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="document_item_once")]
        indexes = [
            models.Index(fields=["run", "status"], name="document_run_status"),
            models.Index(fields=["status", "-id"], name="document_status"),
            models.Index(fields=["indexed_at"], name="document_indexed_at"),
        ]

    def __str__(self) -> str:
        return self.title or self.uri


class Chunk(models.Model):
    """A passage: characters [start, end) of its blob's normalised text, with the headings above it."""

    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="chunks")
    ordinal = models.PositiveIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    heading_path = ArrayField(models.TextField(), default=list)
    heading = models.TextField(blank=True, default="", help_text="The heading path as one line, for full text.")
    title = models.TextField(blank=True, default="")
    text = models.TextField()
    text_hash = models.CharField(max_length=64, help_text="BLAKE3 of what was embedded.")
    label = models.BigIntegerField(null=True, blank=True, db_index=True, help_text="The embedding's label.")
    tsv: ClassVar[models.GeneratedField] = models.GeneratedField(
        expression=SearchVector("title", weight="A", config="english")
        + SearchVector("heading", weight="B", config="english")
        + SearchVector("text", weight="D", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["blob", "ordinal"], name="chunk_ordinal_once"),
            models.CheckConstraint(condition=Q(end__gt=F("start")), name="chunk_span"),
        ]
        indexes = [
            GinIndex(fields=["tsv"], name="chunk_tsv"),
            models.Index(fields=["text_hash"], name="chunk_text_hash"),
        ]


class SemanticContainer(models.Model):
    """What a document is to the rest of the platform: typed content with capabilities, a policy and provenance."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    document = models.OneToOneField(Document, on_delete=models.CASCADE, related_name="container")
    title = models.CharField(max_length=500, blank=True, default="")
    content_type = models.CharField(max_length=100)
    capabilities = ArrayField(models.TextField(), default=list, blank=True)
    policy = models.JSONField(default=dict, blank=True)
    embedding = VectorField(null=True, blank=True)
    provenance = models.JSONField(default=dict)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


class Conversation(models.Model):
    """A chat of one person or key."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.CharField(max_length=200, blank=True, default="")
    principal = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


class Message(models.Model):
    """One turn of a conversation; an assistant's turn keeps its citations with their exact offsets."""

    class Role(models.TextChoices):
        USER = "user"
        ASSISTANT = "assistant"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=10, choices=Role.choices)
    content = models.TextField()
    mode = models.CharField(max_length=12, blank=True, default="", help_text="llm, extractive or not_found.")
    citations = models.JSONField(default=list, blank=True)
    model = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.content[:60]
