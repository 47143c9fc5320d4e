"""The approximate index on hnswlib. hnswlib is optional: it ships as source only and needs a compiler."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from apps.intelligence.ports import Vectors
from apps.intelligence.vectors.base import Hit
from apps.intelligence.vectors.locking import ReadWriteLock

LINKS, BUILD_WIDTH, SEARCH_WIDTH = 16, 200, 128
ADD_BATCH = 16
FIRST_CAPACITY = 1024
WORN_SHARE, WORN_COUNT = 0.3, 256
try:
    _hnswlib: ModuleType | None = importlib.import_module("hnswlib")
except ImportError:
    _hnswlib = None


def available() -> bool:
    """Whether hnswlib is installed here."""
    return _hnswlib is not None


class HnswIndex:
    """Inner product over normalised vectors; M=16, efConstruction=200.

    hnswlib may raise when it searches while it adds, so searches share a lock that additions take alone, a few
    vectors at a time: a search waits tens of milliseconds at most.
    """

    backend = "hnswlib"

    def __init__(self, dim: int, *, file: Path | None = None, marks: dict[int, int] | None = None) -> None:
        """Empty, or read from `file`, whose findable labels are those of `marks`."""
        if _hnswlib is None:
            raise RuntimeError("hnswlib is not installed.")
        self._index = _hnswlib.Index("ip", dim)
        self._marks = dict(marks or {})
        self._lock = ReadWriteLock()
        if file is None:
            self._index.init_index(FIRST_CAPACITY, ef_construction=BUILD_WIDTH, M=LINKS)
        else:
            self._index.load_index(str(file))
        self._width = SEARCH_WIDTH
        self._index.set_ef(SEARCH_WIDTH)
        self._index.set_num_threads(1)

    def __len__(self) -> int:
        return len(self._marks)

    @property
    def stored(self) -> int:
        """Vectors in the graph, the deleted ones included."""
        return int(self._index.get_current_count())

    @property
    def worn(self) -> bool:
        """So many deleted vectors that building it anew pays."""
        gone = self.stored - len(self._marks)
        return gone > WORN_COUNT and gone > WORN_SHARE * self.stored

    def add(self, labels: Sequence[int], vectors: Vectors, marks: Sequence[int]) -> None:
        for start in range(0, len(labels), ADD_BATCH):
            part = slice(start, start + ADD_BATCH)
            with self._lock.write():
                needed = self.stored + len(labels[part])
                if needed > self._index.get_max_elements():
                    self._index.resize_index(max(needed, self._index.get_max_elements() * 3 // 2))
                self._index.add_items(vectors[part], np.asarray(labels[part], np.uint64), num_threads=1)
                self._marks.update(zip(labels[part], marks[part], strict=True))

    def remove(self, labels: Sequence[int]) -> None:
        with self._lock.write():
            for label in labels:
                if self._marks.pop(label, None) is not None:
                    self._index.mark_deleted(label)

    def marks(self) -> dict[int, int]:
        with self._lock.read():
            return dict(self._marks)

    def search(self, vector: Vectors, k: int) -> list[Hit]:
        """Raises RuntimeError when the graph cannot reach `k` vectors; ask an exact back end then."""
        if k * 2 > self._width:
            with self._lock.write():
                self._width = max(self._width, k * 2)
                self._index.set_ef(self._width)
        with self._lock.read():
            count = min(k, len(self._marks))
            if not count:
                return []
            labels, distances = self._index.knn_query(vector, k=count, num_threads=1)
            found = zip(labels[0].tolist(), (1.0 - distances[0]).tolist(), strict=True)
            return [(label, score) for label, score in found if label in self._marks]

    def save(self, file: Path) -> dict[int, int]:
        """Write the graph; returns the marks that belong to it. Searches go on meanwhile."""
        with self._lock.read():
            self._index.save_index(str(file))
            return dict(self._marks)
