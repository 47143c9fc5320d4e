"""Events of content."""

from typing import ClassVar
from uuid import UUID

from apps.core.events import Event


class SourceFetchFailed(Event):
    """One attempt to fetch one item failed. Emitted by services.fetching for every attempt."""

    name: ClassVar[str] = "source.fetch_failed"
    source_id: UUID
    document_id: UUID
    url: str
    code: str
    detail: str
    attempt: int


class SourcePaused(Event):
    """Nothing is fetched from the source until it is resumed. Emitted by services.sources."""

    name: ClassVar[str] = "source.paused"
    source_id: UUID
    reason: str
    episode_id: UUID | None


class SourceResumed(Event):
    """The source is fetched from again. Emitted by services.sources."""

    name: ClassVar[str] = "source.resumed"
    source_id: UUID
    actor: str


class IngestStarted(Event):
    """A run was accepted. Emitted by services.ingest."""

    name: ClassVar[str] = "ingest.started"
    run_id: UUID
    source_id: UUID
    total: int


class IngestCompleted(Event):
    """The last document of a run is done, one way or the other. Emitted exactly once per run, by services.outcomes."""

    name: ClassVar[str] = "ingest.completed"
    run_id: UUID
    source_id: UUID
    indexed: int
    failed: int


class DocumentAdvanced(Event):
    """A document reached `stage`; `progress` goes from 0 to 1 over all stages."""

    name: ClassVar[str] = "document.advanced"
    document_id: UUID
    run_id: UUID | None
    source_id: UUID
    stage: str
    progress: float


class DocumentIndexed(Event):
    """A document can be found by search. Emitted by services.indexing."""

    name: ClassVar[str] = "document.indexed"
    document_id: UUID
    container_id: UUID
    run_id: UUID | None
    source_id: UUID
    chunk_count: int
    embedded_count: int


class DocumentFailed(Event):
    """A document will not be processed further until someone retries it. Emitted by services.outcomes."""

    name: ClassVar[str] = "document.failed"
    document_id: UUID
    run_id: UUID | None
    source_id: UUID
    stage: str
    code: str
    detail: str


class DocumentRemoved(Event):
    """A document left search and its source's list. Emitted by services.documents."""

    name: ClassVar[str] = "document.removed"
    document_id: UUID
    source_id: UUID
    reason: str


class ChatAnswered(Event):
    """A question was answered to the end. Emitted by services.chat."""

    name: ClassVar[str] = "chat.answered"
    conversation_id: UUID
    message_id: UUID
    mode: str
    citation_count: int
