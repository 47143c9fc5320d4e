"""The in-memory twin of an embedding model: deterministic, fast, and it counts what it is asked."""

import re
from collections.abc import Sequence

import numpy as np
from blake3 import blake3

from apps.intelligence.ports import Vectors

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashEmbedder:
    """Words hashed into 64 dimensions: texts that share words are near each other."""

    def __init__(self, max_tokens: int = 64) -> None:
        self.model_id = "hash-64"
        self.dim = 64
        self.max_tokens = max_tokens
        self.embedded: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded.extend(texts)
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for token in _TOKEN.findall(text.lower()):
                vectors[row, blake3(token.encode()).digest()[0] % self.dim] += 1
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-9), np.float32)
