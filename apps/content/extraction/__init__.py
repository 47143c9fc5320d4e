"""Bytes to readable text: pure functions, no Django, no database. The front door is `extract`."""

from apps.content.extraction.document import Extracted, Heading
from apps.content.extraction.errors import (
    ContentTypeMismatch,
    DocumentDamaged,
    DocumentEmpty,
    DocumentEncrypted,
    ExtractionError,
    ExtractionTimeout,
    ExtractionTooLarge,
    UnsupportedMediaType,
)
from apps.content.extraction.extract import extract
from apps.content.extraction.sniffing import SUFFIXES, media_type_of

__all__ = [
    "SUFFIXES",
    "ContentTypeMismatch",
    "DocumentDamaged",
    "DocumentEmpty",
    "DocumentEncrypted",
    "Extracted",
    "ExtractionError",
    "ExtractionTimeout",
    "ExtractionTooLarge",
    "Heading",
    "UnsupportedMediaType",
    "extract",
    "media_type_of",
]
