"""What a document really is: what it was declared to be, checked against its bytes."""

import codecs
import re
from pathlib import PurePosixPath

from charset_normalizer import from_bytes

from apps.content.extraction.errors import ContentTypeMismatch, UnsupportedMediaType

HTML, MARKDOWN, TEXT, PDF = "text/html", "text/markdown", "text/plain", "application/pdf"
SUFFIXES: dict[str, str] = {
    ".html": HTML, ".htm": HTML, ".xhtml": HTML,
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".mdown": MARKDOWN,
    ".txt": TEXT, ".text": TEXT, ".rst": TEXT, ".adoc": TEXT, ".log": TEXT,
    ".pdf": PDF,
}  # fmt: skip
"""File name endings that are read, and the media type of each."""

_ALIASES = {
    "application/xhtml+xml": HTML, "text/x-markdown": MARKDOWN, "application/x-pdf": PDF, "text/x-rst": TEXT,
}  # fmt: skip
_UNDECLARED = {"", "application/octet-stream", "binary/octet-stream", "application/x-download"}
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ", "application/x-msdownload"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"RIFF", "application/x-riff"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"\x00asm", "application/wasm"),
)
_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?(?:\s|<\?xml[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\A<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]{1,40})", re.IGNORECASE)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SAMPLE_BYTES = 65_536


def media_type_of(data: bytes, *, declared: str, filename: str | None) -> str:
    """The canonical media type: one of HTML, MARKDOWN, TEXT, PDF.

    Raises ContentTypeMismatch when the bytes contradict what was declared, UnsupportedMediaType for formats that are
    not read.
    """
    declared = declared.partition(";")[0].strip().lower()
    declared = _ALIASES.get(declared, declared)
    suffix = PurePosixPath(filename or "").suffix.lower()
    found = _sniff(data)
    if declared in _UNDECLARED:
        declared = SUFFIXES.get(suffix, found if found in {PDF, HTML} else "")
        if not declared:
            if found != TEXT or suffix:
                raise UnsupportedMediaType(f"{_named(suffix, found)} is not read yet; {_READ}.")
            return TEXT
    if declared == TEXT and suffix in SUFFIXES and SUFFIXES[suffix] in {MARKDOWN, TEXT}:
        declared = SUFFIXES[suffix]
    if declared.startswith("text/") and declared not in {HTML, MARKDOWN, TEXT, "text/csv", "text/calendar", "text/xml"}:
        declared = TEXT
    return _agreed(declared, found)


def _agreed(declared: str, found: str) -> str:
    """`declared` when the bytes bear it out."""
    if declared not in {HTML, MARKDOWN, TEXT, PDF}:
        if found in {HTML, PDF}:
            raise ContentTypeMismatch(f"Declared as {declared}, but the content is {found}.")
        raise UnsupportedMediaType(f"{declared} is not read yet; {_READ}.")
    is_text = found in {TEXT, HTML}
    if (declared == PDF and found != PDF) or (declared != PDF and not is_text):
        raise ContentTypeMismatch(f"Declared as {declared}, but the content is {found or 'binary'}.")
    return declared


_READ = "html, markdown, text and pdf are"


def _named(suffix: str, found: str) -> str:
    return suffix or found or "This content"


def _sniff(data: bytes) -> str:
    """HTML, PDF, TEXT, the name of a known binary format, or "" for other binary content."""
    head = data[:1024]
    if b"%PDF-" in head:
        return PDF
    for magic, name in _MAGIC:
        if head.startswith(magic) and not (len(magic) < 4 and _is_text(data)):
            return name
    if _HTML_START.match(data[:8192]):
        return HTML
    return TEXT if _is_text(data) else ""


def _is_text(data: bytes) -> bool:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    sample = data[:_SAMPLE_BYTES]
    if _wide_encoding(sample):
        return True
    controls = sum(sample.count(byte) for byte in _CONTROL_BYTES)
    return b"\x00" not in sample[:1024] and controls <= len(sample) // 50


_CONTROL_BYTES = [bytes([code]) for code in range(32) if code not in {7, 8, 9, 10, 11, 12, 13, 27}]


def _wide_encoding(sample: bytes) -> str:
    """UTF-16 without a byte order mark, recognised by the zero bytes of its ASCII part."""
    if len(sample) < 8:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    if odd > half * 0.6 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.6 and odd < half * 0.05:
        return "utf-16-be"
    return ""


def decode(data: bytes, *, charset: str | None, html: bool = False) -> tuple[str, str]:
    """The text and the encoding it was read with.

    Order: byte order mark, declared charset, the document's own declaration (HTML), UTF-8, detection, windows-1252.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(encoding, errors="replace"), encoding
    candidates = [charset or ""]
    if html:
        candidates += [_declared_in(data)]
    candidates += [_wide_encoding(data[:_SAMPLE_BYTES]), "utf-8"]
    for candidate in candidates:
        encoding = _codec(candidate)
        if encoding:
            try:
                return data.decode(encoding), encoding
            except UnicodeDecodeError:
                continue
    best = from_bytes(data[:_SAMPLE_BYTES]).best()
    encoding = _codec(best.encoding if best else "") or "cp1252"
    return data.decode(encoding, errors="replace"), encoding


def _declared_in(data: bytes) -> str:
    match = _XML_ENCODING.match(data[:1024]) or _META_CHARSET.search(data[:4096])
    if match is None:
        return ""
    name = match.group(1).decode("ascii")
    return "" if name.lower().startswith("utf-16") else name  # a page readable as ASCII up to here is not UTF-16


def _codec(name: str) -> str:
    """Python's name of a text encoding; "" for an unknown one. Browsers read latin-1 as windows-1252, so does this."""
    if not name:
        return ""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    if not info._is_text_encoding or info.name in {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}:
        return ""
    return "cp1252" if info.name in {"iso8859-1", "ascii"} else info.name
