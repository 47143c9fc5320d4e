"""Queries no cache has seen: spans of words drawn from the corpus with a fixed seed, each used once."""

import random
import re
from collections.abc import Iterator

from tests.benchmarks.instance import rows

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{2,}")
WORDS = (3, 8)


class QueriesSpent(RuntimeError):
    """The corpus is too small for so many distinct queries."""


class FreshQueries:
    """Hands out each query once. Reads its passages in the tenant in force."""

    def __init__(self, *, seed: int, passages: int = 4_000) -> None:
        self._random = random.Random(seed)
        texts = [row[0] for row in rows("SELECT text FROM content_chunk ORDER BY md5(id::text) LIMIT %s", [passages])]
        self._texts = texts
        self._made = self._make()

    def take(self, count: int) -> list[str]:
        """The next `count`. Raises QueriesSpent."""
        taken = [query for _, query in zip(range(count), self._made, strict=False)]
        if len(taken) < count:
            raise QueriesSpent(f"{len(self._texts)} passages do not give {count} more queries.")
        return taken

    def _make(self) -> Iterator[str]:
        seen: set[str] = set()
        for _ in range(4):
            for text in self._texts:
                words = _WORD.findall(text)
                length = self._random.randint(*WORDS)
                if len(words) <= length:
                    continue
                start = self._random.randrange(len(words) - length)
                query = " ".join(words[start : start + length])
                if query not in seen:
                    seen.add(query)
                    yield query
