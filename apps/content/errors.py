"""Refusals of content."""

from apps.core.errors import Conflict, DomainError, NotFound


class DocumentMissing(NotFound):
    title = "No such document"


class SourceMissing(NotFound):
    title = "No such source"


class RunMissing(NotFound):
    title = "No such ingest run"


class DocumentNotRetryable(Conflict):
    """Only a document that failed can be processed again by hand."""

    code = "document_not_retryable"


class RunFinished(Conflict):
    code = "run_finished"


class StaleContent(DomainError):
    """The document has moved on to other content since this step was planned."""

    code = "stale_content"
    status = 409
    title = "The content has moved on"


class EmbeddingsGone(DomainError):
    """Vectors were deleted between being looked up and being referenced; the step starts over."""

    code = "embeddings_gone"
    status = 409
    title = "Vectors were removed meanwhile"


class UploadTooLarge(DomainError):
    code = "body_too_large"
    status = 413
    title = "The file is too large"


class FilenameInvalid(DomainError):
    code = "filename_invalid"
    title = "The file name cannot be kept"
