"""Every vector compared: the reference that the other back ends are measured against, and the answer without hnswlib."""

import threading
from collections.abc import Sequence

import numpy as np

from apps.intelligence.ports import Vectors
from apps.intelligence.vectors.base import Hit


class ExactIndex:
    """All vectors in memory, one product per search."""

    backend = "exact"

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._lock = threading.Lock()
        self._rows: dict[int, tuple[int, Vectors]] = {}
        self._matrix: Vectors | None = None
        self._labels: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, labels: Sequence[int], vectors: Vectors, marks: Sequence[int]) -> None:
        with self._lock:
            self._rows |= {label: (mark, vector) for label, vector, mark in zip(labels, vectors, marks, strict=True)}
            self._matrix = None

    def remove(self, labels: Sequence[int]) -> None:
        with self._lock:
            for label in labels:
                self._rows.pop(label, None)
            self._matrix = None

    def marks(self) -> dict[int, int]:
        with self._lock:
            return {label: mark for label, (mark, _) in self._rows.items()}

    def search(self, vector: Vectors, k: int) -> list[Hit]:
        with self._lock:
            if not self._rows:
                return []
            if self._matrix is None:
                self._labels = list(self._rows)
                self._matrix = np.stack([row for _, row in self._rows.values()])
            matrix, labels = self._matrix, self._labels
        scores = matrix @ vector
        count = min(k, len(labels))
        best = np.argpartition(-scores, count - 1)[:count]
        return sorted(((labels[i], float(scores[i])) for i in best), key=lambda hit: (-hit[1], hit[0]))
