"""A read-write lock that starves neither side."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadWriteLock:
    """Many readers or one writer. Readers that waited for a writer go before the next writer."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = self._waiting_readers = self._waiting_writers = self._admitted = 0
        self._writing = False

    @contextmanager
    def read(self) -> Iterator[None]:
        with self._changed:
            self._waiting_readers += 1
            while self._writing or (self._waiting_writers and not self._admitted):
                self._changed.wait()
            self._waiting_readers -= 1
            self._admitted = max(0, self._admitted - 1)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Iterator[None]:
        with self._changed:
            self._waiting_writers += 1
            while self._writing or self._readers or self._admitted:
                self._changed.wait()
            self._waiting_writers -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._admitted = self._waiting_readers
                self._changed.notify_all()
