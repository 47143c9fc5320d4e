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


class ContentGone(DomainError):
    """The bytes a document was to be made from were dropped."""

    code = "content_gone"
    status = 410
    title = "The content is gone"


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


class QueryEmpty(DomainError):
    """Nothing but white space was asked."""

    code = "query_empty"
    title = "The query is empty"


class QueryTooLong(DomainError):
    code = "query_too_long"
    title = "The query is too long"


class QueryInvalid(DomainError):
    """The query holds characters that no text holds: control characters or halves of surrogate pairs."""

    code = "query_invalid"
    title = "The query holds control characters"


class LimitRefused(DomainError):
    """The number of results asked for is out of range."""

    code = "limit_invalid"
    title = "The limit is out of range"


class MessageTooLong(DomainError):
    """The message is longer than one turn may be."""

    code = "message_too_long"
    title = "The message is too long"


class ConversationMissing(NotFound):
    title = "No such conversation"
