"""JSON as the API accepts it: RFC 8259 in UTF-8, each key once, finite numbers of 64 bits, at most 64 levels deep."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from apps.core.api.errors import (
    JsonDuplicateKey,
    JsonInvalid,
    JsonNumberInvalid,
    JsonNumberRange,
    JsonTooDeep,
    TextInvalidUnicode,
    TextRefused,
)
from apps.core.errors import FieldError

MAX_DEPTH = 64
INT_BITS = 63
INT_DIGITS = 19  # of 2**63
# What only an escape can bring into the text; a quick look at the bytes spares the walk for nearly every body.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _refuse_constant(name: str) -> NoReturn:
    raise JsonNumberInvalid(f"{name} is not a JSON number.")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonNumberInvalid("A number is too large for a double.")
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > INT_DIGITS or abs(value := int(text)) >> INT_BITS:
        raise JsonNumberRange("A whole number does not fit into 64 bits.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add as "not seen yet"
        raise JsonDuplicateKey(f"The key {twice[:100]!r} occurs twice in one object.")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_refuse_constant
)


def loads_strict(body: bytes) -> Any:
    """Parse one JSON text. Raises a DomainError (400, or 422 for text that cannot be stored) and nothing else."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise JsonInvalid("A byte order mark at offset 0 is not JSON.")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JsonInvalid(f"The body is not UTF-8 at offset {error.start}.") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonInvalid(f"{error.msg} at offset {error.pos}.") from None
    except RecursionError:
        raise JsonTooDeep(f"At most {MAX_DEPTH} levels are accepted.") from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    if _SUSPECT.search(body):
        _check_text(value)
    return value


def _children(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for _, child in _children(parent) if isinstance(child, dict | list)]
        if not level:
            return
    raise JsonTooDeep(f"At most {MAX_DEPTH} levels are accepted.")


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _check_text(value: Any) -> None:
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while stack:
        path, item = stack.pop()
        if isinstance(item, str):
            _check_string(path, item)
        for key, child in _children(item):
            if isinstance(key, str):
                _check_string(path, key)
            stack.append(((*path, key), child))


def _check_string(path: tuple[str | int, ...], text: str) -> None:
    where = pointer(*path).encode("ascii", "backslashreplace").decode()
    if "\x00" in text:
        detail = "U+0000 cannot be stored."
        raise TextRefused(detail, errors=[FieldError(where, TextRefused.code, detail)])
    if _SURROGATE.search(text):
        detail = "A surrogate without its partner is not Unicode text."
        raise TextInvalidUnicode(detail, errors=[FieldError(where, TextInvalidUnicode.code, detail)])
