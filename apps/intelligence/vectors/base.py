"""What every vector index can do, whatever holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from apps.intelligence.ports import Vectors

Hit = tuple[int, float]
"""A label and its score: the inner product of two normalised vectors, 1 for equal direction."""


class VectorIndex(Protocol):
    """Finds the labels whose vectors are nearest to a vector."""

    backend: str

    def search(self, vector: Vectors, k: int) -> list[Hit]:
        """At most `k` hits, best first. `vector` has shape (dim,)."""
        ...

    def __len__(self) -> int: ...


class MutableVectorIndex(VectorIndex, Protocol):
    """An index in memory. Safe to use from several threads."""

    def add(self, labels: Sequence[int], vectors: Vectors, marks: Sequence[int]) -> None:
        """Add or replace; `marks` are 64-bit numbers that tell one content of a label from another."""
        ...

    def remove(self, labels: Sequence[int]) -> None:
        """Labels that are not there are passed over."""
        ...

    def marks(self) -> dict[int, int]:
        """Label -> mark of everything the index finds."""
        ...


@dataclass(frozen=True)
class VectorHits:
    """The hits, which back end found them, and the vector that was searched for."""

    hits: list[Hit]
    backend: str
    model_id: str
    vector: Vectors
    detail: str = ""


@dataclass(frozen=True)
class VectorStatus:
    """What serves the vector leg now. Unhealthy means slower than it should be, not wrong."""

    backend: str
    healthy: bool
    latency_ms: float
    detail: str
