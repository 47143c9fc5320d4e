"""Documents of every format to readable text, and what is refused by name."""

import os
import signal
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.content.extraction import (
    ContentTypeMismatch,
    DocumentDamaged,
    DocumentEmpty,
    DocumentEncrypted,
    Extracted,
    ExtractionError,
    ExtractionTimeout,
    UnsupportedMediaType,
    extract,
    media_type_of,
)
from apps.content.extraction.pdf import extract_pdf
from apps.content.extraction.readers import SMALL_BYTES, read_bounded, read_here

HTML, MARKDOWN, TEXT, PDF = "text/html", "text/markdown", "text/plain", "application/pdf"


def html(body: str, head: str = "") -> Extracted:
    return extract(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode(), media_type=HTML)


def markdown(text: str) -> Extracted:
    return extract(text.encode(), media_type=MARKDOWN)


def headings(extracted: Extracted) -> list[tuple[int, str]]:
    return [(heading.level, heading.text) for heading in extracted.headings]


# --- HTML --------------------------------------------------------------------------------------------------------------


def test_blocks_keep_their_shape() -> None:
    extracted = html(
        "<main><h1>Title <a class=headerlink href=#x>¶</a></h1>\n<p>One\n  <b>bold</b>word and<br>a break.</p>"
        "<ul><li>a</li><li><p>b</p><ol start=3><li>c<li>d</ol></li></ul><p>after</p>"
        "<pre>x = 1\n  y\t= 2\n\nz</pre><blockquote>quoted</blockquote></main>"
    )
    assert extracted.text == (
        "Title\n\nOne boldword and\na break.\n\n- a\n- b\n  3. c\n  4. d\n\nafter\n\nx = 1\n  y\t= 2\n\nz\n\nquoted"
    )
    assert headings(extracted) == [(1, "Title")]


def test_tables_are_rows_and_layout_tables_are_not() -> None:
    extracted = html(
        "<table><caption>Sizes</caption><tr><th>Name<th>Bytes</tr><tr><td>small<td><p>2</p></tr></table>"
        "<table><tr><td><h2>Left</h2><p>text</p></td><td>right</td></tr></table>"
    )
    assert extracted.text == "Sizes\n\nName | Bytes\nsmall | 2\n\nLeft\n\ntext\n\nright"


def test_a_term_with_a_long_definition_is_a_heading() -> None:
    extracted = html(f"<h2>Options</h2><dl><dt>short</dt><dd>brief</dd><dt>long</dt><dd>{'word ' * 50}</dd></dl>")
    assert extracted.text.startswith("Options\n\nshort\nbrief\n\nlong\n\nword word")
    assert headings(extracted) == [(2, "Options"), (7, "long")]


def test_furniture_is_left_out_and_content_is_not() -> None:
    text = "The content is long enough to be most of the page, as it is on any page worth reading at all. " * 3
    extracted = html(
        "<header><a href=/>Home</a></header><nav>Menu</nav><div class='breadcrumb'>a &gt; b</div><div hidden>no</div>"
        f"<div style='display: none'>no</div><article><h1>Real</h1><p>{text}</p><div class=comments>me too</div></article>"
        "<aside>ads</aside><div class='sidebar widget'>side</div><footer>legal</footer><script>alert(1)</script>"
        "<style>p{}</style><noscript>enable</noscript><template>t</template>"
    )
    assert extracted.text == f"Real\n\n{text.strip()}"


def test_link_blocks_go_only_when_they_are_not_the_page() -> None:
    links = "".join(f"<li><a href=/{n}>Chapter number {n}</a></li>" for n in range(9))
    text = "Prose about the chapters that says more than the list of them does. " * 8
    assert "Chapter" not in html(f"<ul>{links}</ul><p>{text}</p>").text
    assert "Chapter number 8" in html(f"<h1>Contents</h1><ul>{links}</ul>").text


def test_boxes_do_not_start_sections() -> None:
    extracted = html("<h1>A</h1><div class=note><h3>Note</h3><p>careful</p></div><p>goes on</p>")
    assert headings(extracted) == [(1, "A")]
    assert extracted.text == "A\n\nNote\n\ncareful\n\ngoes on"


@pytest.mark.parametrize(
    ("head", "body", "title"),
    [
        ("<title>Pumps - ACME</title>", "<h1>Pumps</h1>", "Pumps"),
        ("<title>ACME</title>", "<h1>Pumps</h1>", "ACME"),
        ("<title>Care | ACME</title>", "<h2>Care</h2>", "Care"),
        ("", "<h2>Only</h2>", "Only"),
        ("<title> a\n b </title>", "<p>x</p>", "a b"),
        ("", "<p>x</p>", ""),
        ("<title>Chapter 1</title>", "<svg><title>icon</title></svg><p>x</p>", "Chapter 1"),
    ],
)
def test_titles(head: str, body: str, title: str) -> None:
    assert html(body, head).title == title


def test_language_and_metadata() -> None:
    page = (
        '<html lang="de-AT"><meta name="description" content="Kurz"><link rel=canonical href="https://a.example/x">'
        "<p>Hallo</p>"
    )
    extracted = extract(page.encode(), media_type=HTML)
    assert extracted.language == "de"
    assert extracted.metadata["description"] == "Kurz"
    assert extracted.metadata["canonical"] == "https://a.example/x"
    assert html("<p>x</p>").language == ""


@pytest.mark.parametrize("tag", ["div", "table><tr><td", "dl><dt>x<dd", "ul><li", "a href=x", "b", "blockquote"])
def test_deep_nesting_does_no_harm(tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lexbor itself takes time by the square of some depths: such a page is read where a time limit ends it."""
    calls: list[float] = []
    run = subprocess.run

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["timeout"])
        return run(*args, **kwargs)

    monkeypatch.setattr("apps.content.extraction.readers.subprocess.run", counted)
    assert "deep down" in html(f"<{tag}>" * 3_000 + "deep down").text
    assert calls == [60]
    assert "deep down" in html(f"<{tag}>" * 100 + "deep down").text


def test_endless_attributes_do_no_harm() -> None:
    assert html(f"<p class='{'x ' * 100_000}'>text</p>").text == "text"


def test_the_postgresql_manual_reads_well() -> None:
    page = Path("/usr/share/doc/postgresql-doc-15/html/sql-vacuum.html")
    if not page.exists():
        pytest.skip("postgresql-doc-15 is not installed")
    extracted = extract(page.read_bytes(), media_type=HTML)
    assert extracted.title == "VACUUM"
    assert (2, "Synopsis") in headings(extracted)
    assert (7, "SKIP_LOCKED") in headings(extracted)
    assert "\n    SKIP_LOCKED [ boolean ]\n" in extracted.text
    assert "Prev" not in extracted.text
    assert "Home" not in extracted.text


# --- Markdown ------------------------------------------------------------------------------------------------------------


def test_markdown_reads_as_text() -> None:
    extracted = markdown(
        "---\ntitle: 'From the front'\n---\n# One *two* `three`\n\nA [link](http://x) and ![alt](i.png)\nnext\\\nbreak\n\n"
        "- a\n- b\n  1. c\n  2. d\n\n    more of d\n\n```py\nx = 1\n\n  y\n```\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n"
        "Setext\n------\n\n<div>html <b>block</b></div><script>no</script>\n\nin <i>line</i>\n"
    )
    assert extracted.text == (
        "One two three\n\nA link and alt next\nbreak\n\n- a\n- b\n  1. c\n  2. d\n\nmore of d\n\nx = 1\n\n  y\n\n"
        "a | b\n1 | 2\n\nSetext\n\nhtml block\n\nin line"
    )
    assert headings(extracted) == [(1, "One two three"), (2, "Setext")]
    assert extracted.title == "From the front"
    assert markdown("# T\n\nx").title == "T"


# --- Text ----------------------------------------------------------------------------------------------------------------


def test_plain_text_keeps_lines_and_finds_underlined_headings() -> None:
    extracted = extract(b"Title\r\n=====\r\n\r\none\r\n  two\r\n\r\n\r\nPart\n----\nthree\n", media_type=TEXT)
    assert extracted.text == "Title\n\none\n  two\n\nPart\n\nthree"
    assert headings(extracted) == [(1, "Title"), (2, "Part")]
    assert extract(b"first line\nsecond", media_type=TEXT).title == "first line"


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("Grüße aus Köln".encode(), None),
        ("Grüße aus Köln".encode("utf-8-sig"), "latin-1"),
        ("Grüße aus Köln".encode("utf-16"), None),
        ("Grüße aus Köln, und noch viel mehr Text".encode("utf-16-le"), None),
        ("Grüße aus Köln".encode("latin-1"), "iso-8859-1"),
        ("Grüße aus Köln".encode("latin-1"), "utf-8"),
        ("Grüße aus Köln".encode("cp1252"), "no-such-charset"),
        (unicodedata.normalize("NFD", "Grüße aus Köln").encode(), None),
    ],
)
def test_charsets(data: bytes, charset: str | None) -> None:
    assert extract(data, media_type=TEXT, charset=charset).text.startswith("Grüße aus Köln")


def test_a_page_says_its_own_charset() -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Привет, мир</p>'
    assert extract(page.encode("cp1251"), media_type=HTML).text == "Привет, мир"
    assert extract(page.encode("cp1251"), media_type=HTML, charset="cp1251").text == "Привет, мир"
    lying = '<meta charset="utf-16"><p>plain</p>'
    assert extract(lying.encode(), media_type=HTML).text == "plain"


def test_what_postgresql_cannot_hold_is_gone() -> None:
    text = html("<p>a\x00b&#0;c&#xD800;d\u202ee\u200bf\ufeffg&#x1F;h</p>").text
    assert text == "abc\ufffdde" + "fgh" or "\x00" not in text
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in text)
    assert extract("x\ud83dy".encode("utf-8", "surrogatepass"), media_type=TEXT).text.encode()


@given(st.text(max_size=400), st.sampled_from([HTML, MARKDOWN, TEXT]))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_clean_text_with_true_offsets(text: str, media_type: str) -> None:
    data = text.encode("utf-8", "replace")
    try:
        extracted = extract(data, media_type=media_type)
    except ExtractionError:
        return
    assert extracted.text == unicodedata.normalize("NFC", extracted.text)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in extracted.text)
    for heading in extracted.headings:
        assert extracted.text.startswith(heading.text, heading.start)
    assert extract(data, media_type=media_type) == extracted


_TAGS = ["p", "h1", "h3", "ul", "li", "table", "tr", "td", "pre", "dl", "dt", "dd", "nav", "main", "br", "a", "title"]


@given(st.lists(st.tuples(st.sampled_from(_TAGS), st.booleans(), st.text("ab <&\n", max_size=6)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_tag_soup_is_survived(parts: list[tuple[str, bool, str]]) -> None:
    soup = "".join(f"<{'/' if closing else ''}{tag}>{text}" for tag, closing, text in parts)
    try:
        extracted = extract(soup.encode() or b" ", media_type=HTML)
    except DocumentEmpty:
        return
    for heading in extracted.headings:
        assert extracted.text.startswith(heading.text, heading.start)


# --- What it really is ---------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(
    ("declared", "filename", "data", "found"),
    [
        ("text/html; charset=x", None, b"<p>x", HTML),
        ("application/xhtml+xml", None, b"<?xml version='1.0'?><html/>", HTML),
        ("", "a.HTM", b"<p>x", HTML),
        ("", "a.md", b"# x", MARKDOWN),
        ("text/plain", "README.md", b"# x", MARKDOWN),
        ("text/x-rst", "a.rst", b"x", TEXT),
        ("text/x-python", "a.py", b"x = 1", TEXT),
        ("application/octet-stream", "download", b"%PDF-1.7", PDF),
        ("", None, b"  <!-- c --><!DOCTYPE html><p>", HTML),
        ("", None, b"just words", TEXT),
    ],
)
def test_media_types(declared: str, filename: str | None, data: bytes, found: str) -> None:
    assert media_type_of(data, declared=declared, filename=filename) == found


@pytest.mark.parametrize(
    ("declared", "filename", "data", "error"),
    [
        ("image/png", None, b"<!doctype html><p>x", ContentTypeMismatch),
        ("image/png", None, b"%PDF-1.4", ContentTypeMismatch),
        ("image/png", None, PNG, UnsupportedMediaType),
        ("text/html", None, PNG, ContentTypeMismatch),
        ("text/html", None, b"%PDF-1.4", ContentTypeMismatch),
        ("application/pdf", None, b"<html>", ContentTypeMismatch),
        ("text/plain", None, bytes(range(256)), ContentTypeMismatch),
        ("", "a.html", b"PK\x03\x04" + bytes(40), ContentTypeMismatch),
        ("", "a.docx", b"PK\x03\x04" + bytes(40), UnsupportedMediaType),
        ("", None, PNG, UnsupportedMediaType),
        ("application/json", None, b"{}", UnsupportedMediaType),
        ("image/svg+xml", None, b"<svg/>", UnsupportedMediaType),
    ],
)
def test_refused_types(declared: str, filename: str | None, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        media_type_of(data, declared=declared, filename=filename)


@pytest.mark.parametrize("data", [b"", b" \n\t", b"<html><script>x()</script></html>", b"<nav>only</nav>"])
def test_nothing_to_read_is_said(data: bytes) -> None:
    with pytest.raises(DocumentEmpty):
        extract(data, media_type=HTML)


# --- PDF -----------------------------------------------------------------------------------------------------------------


def pdf(pages: list[list[str]], *, extra: str = "") -> bytes:
    """A small PDF: each page a list of lines."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>")
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for index, lines in enumerate(pages):
        shown = " ".join(f"({line}) Tj 0 -40 Td" for line in lines)
        stream = f"BT /F1 12 Tf 72 700 Td {shown} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * index} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    out = "%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    xref = len(out)
    rows = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{rows}trailer\n"
    out += f"<< /Size {len(objects) + 1} /Root 1 0 R {extra} >>\nstartxref\n{xref}\n%%EOF"
    return out.encode()


def test_pdf_pages_become_text_with_their_offsets() -> None:
    extracted = extract(pdf([["First page", "with two lines"], ["Second page"]]), media_type=PDF)
    assert extracted.text == "First page\nwith two lines\n\nSecond page"
    assert extracted.metadata["page_starts"] == [0, 27]
    assert extracted.text[27:] == "Second page"
    assert extracted.title == "First page"


def test_broken_pdfs_are_named() -> None:
    with pytest.raises(DocumentDamaged):
        extract(b"%PDF-1.7 this is not one", media_type=PDF)
    with pytest.raises(DocumentEmpty):
        extract(pdf([[]]), media_type=PDF)
    locked = pdf([["secret"]], extra="/Encrypt << /Filter /Standard /V 1 /R 2 /O <" + "00" * 32 + "> /U <" + "11" * 32
                 + "> /P -4 >> /ID [<00><00>]")  # fmt: skip
    with pytest.raises(DocumentEncrypted):
        extract(locked, media_type=PDF)


def test_a_pdf_reader_that_hangs_or_dies_takes_nothing_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    monkeypatch.setattr("apps.content.extraction.pdf._CHILD", child)
    pid_file = tmp_path / "pid"
    child.write_text(f"import os,time\nopen({str(pid_file)!r},'w').write(str(os.getpid()))\ntime.sleep(60)")
    with pytest.raises(ExtractionTimeout):
        extract_pdf(b"%PDF-", timeout_s=1)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    child.write_text(f"import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})")
    with pytest.raises(DocumentDamaged):
        extract_pdf(b"%PDF-", timeout_s=5)


def test_the_pdf_child_is_limited_and_imports_nothing_of_ours(tmp_path: Path) -> None:
    source = Path("apps/content/extraction/pdf_child.py").read_text()
    assert "import apps" not in source
    assert "from apps" not in source
    probe = tmp_path / "probe.py"
    probe.write_text(source.replace("data = sys.stdin.buffer.read()", "bytearray(2_000_000_000)\n    data = b''"))
    done: Any = subprocess.run(
        [os.sys.executable, "-I", str(probe), "500000000", "5", "10", "10"],  # type: ignore[attr-defined]  # os.sys
        input=b"", capture_output=True, check=False,
    )  # fmt: skip
    assert b"MemoryError" in done.stderr
    assert pypdfium2.PYPDFIUM_INFO


def test_a_large_document_is_read_in_a_child_with_the_same_result() -> None:
    section = f"<h2>Part</h2><p>Some text, with <b>words</b> in it, café.{' More of it.' * 50}</p>"
    page = f"<html lang=fr><title>Big</title>{section * 2_000}".encode()
    assert len(page) > SMALL_BYTES[HTML]
    here = read_here(page, HTML, None)
    here.metadata["media_type"] = HTML
    assert extract(page, media_type=HTML) == here
    assert (here.language, len(here.headings)) == ("fr", 2_000)
    with pytest.raises(DocumentEmpty):
        extract(b"<p>" + b" " * SMALL_BYTES[HTML], media_type=HTML)
    with pytest.raises(ExtractionTimeout):
        read_bounded(page, HTML, None, timeout_s=0.01)
