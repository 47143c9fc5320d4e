import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.storage.errors import PathInvalid
from apps.storage.paths import check_path


@pytest.mark.parametrize("path", ["a", "blobs/ab/abc.bin", "Grüße/日本.pdf", "a b/c", "..a/b..", "x" * 512])
def test_ordinary_paths_pass(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a/../b",
        "..",
        "a\x00b",
        "a\nb",
        "a\u2028b",
        "a\\b",
        "x" * 513,
        "é" * 257,
        "e\u0301",
    ],
)
def test_others_are_refused(path: str) -> None:
    with pytest.raises(PathInvalid):
        check_path(path)


@given(st.text(max_size=60))
def test_any_text_passes_or_is_refused(path: str) -> None:
    try:
        accepted = check_path(path)
    except PathInvalid:
        return
    assert accepted == path
    assert not path.startswith("/")
    assert ".." not in path.split("/")
