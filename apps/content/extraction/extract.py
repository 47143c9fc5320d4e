"""One document of any format to normalised text."""

from apps.content.extraction.document import Extracted
from apps.content.extraction.errors import DocumentEmpty, ExtractionTooLarge
from apps.content.extraction.html import extract_html
from apps.content.extraction.markdown import extract_markdown
from apps.content.extraction.pdf import extract_pdf
from apps.content.extraction.plain import extract_plain
from apps.content.extraction.sniffing import HTML, MARKDOWN, PDF, decode, media_type_of

MAX_TEXT_CHARS = 20_000_000


def extract(data: bytes, *, media_type: str, filename: str | None = None, charset: str | None = None) -> Extracted:
    """The readable text of `data`, with title, headings and language; raises an ExtractionError.

    `metadata["media_type"]` is what the content turned out to be. The result depends on the arguments alone, and
    `filename` only helps to tell formats apart: equal bytes give equal text.
    """
    kind = media_type_of(data, declared=media_type, filename=filename)
    if kind == PDF:
        extracted = extract_pdf(data)
        used = ""
    else:
        text, used = decode(data, charset=charset, html=kind == HTML)
        if len(text) > MAX_TEXT_CHARS:
            raise ExtractionTooLarge(f"The document has more than {MAX_TEXT_CHARS} characters.")
        reader = {HTML: extract_html, MARKDOWN: extract_markdown}.get(kind, extract_plain)
        extracted = reader(text)
    if not extracted.text.strip():
        raise DocumentEmpty("The document contains no readable text.")
    extracted.metadata["media_type"] = kind
    if used:
        extracted.metadata["charset"] = used
    return extracted
