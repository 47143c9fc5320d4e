"""Why a document has no text. None of these passes by trying again."""

from apps.core.errors import DomainError


class ExtractionError(DomainError):
    code = "extraction_failed"
    title = "The document cannot be read"


class UnsupportedMediaType(ExtractionError):
    code = "unsupported_media_type"
    status = 415
    title = "This format is not supported"


class ContentTypeMismatch(ExtractionError):
    code = "content_type_mismatch"
    title = "The content is not what it was declared to be"


class DocumentEncrypted(ExtractionError):
    code = "document_encrypted"
    title = "The document is protected by a password"


class DocumentDamaged(ExtractionError):
    code = "document_damaged"
    title = "The document is damaged"


class DocumentEmpty(ExtractionError):
    code = "document_empty"
    title = "The document contains no text"


class ExtractionTooLarge(ExtractionError):
    code = "extraction_too_large"
    status = 413
    title = "The document is too large to be read"


class ExtractionTimeout(ExtractionError):
    code = "extraction_timeout"
    title = "The document took too long to be read"
