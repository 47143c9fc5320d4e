"""One document of any format to normalised text."""

from apps.content.extraction.document import Extracted
from apps.content.extraction.errors import DocumentEmpty
from apps.content.extraction.pdf import extract_pdf
from apps.content.extraction.readers import read_bounded
from apps.content.extraction.sniffing import PDF, media_type_of


def extract(data: bytes, *, media_type: str, filename: str | None = None, charset: str | None = None) -> Extracted:
    """The readable text of `data`, with title, headings and language; raises an ExtractionError.

    `metadata["media_type"]` is what the content turned out to be. The result depends on the arguments alone, and
    `filename` only helps to tell formats apart: equal bytes give equal text.
    """
    kind = media_type_of(data, declared=media_type, filename=filename)
    extracted = extract_pdf(data) if kind == PDF else read_bounded(data, kind, charset)
    if not extracted.text.strip():
        raise DocumentEmpty("The document contains no readable text.")
    extracted.metadata["media_type"] = kind
    return extracted
