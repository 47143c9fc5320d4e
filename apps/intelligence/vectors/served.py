"""One tenant's index in the owner process: opened from its file, kept in step with PostgreSQL, saved."""

import logging
import threading
import time
from concurrent.futures import Executor
from pathlib import Path

from django.db import Error as DatabaseFault
from django.db import connections

from apps.core.tenancy import TenantRef, in_tenant
from apps.intelligence.vectors import changes, files
from apps.intelligence.vectors.hnsw import LINKS, HnswIndex

RECONCILE_EVERY_S = 600.0
SAVE_AFTER_S, SAVE_AT_LATEST_S = 3.0, 60.0
OPENING, READY, REBUILDING, FAILED = "opening", "ready", "rebuilding", "failed"

log = logging.getLogger(__name__)


class _Closing(Exception):
    """The owner stops: leave the rest for the next start."""


class ServedIndex:
    """Work on the index runs on the executor, one task at a time; searches read what is there."""

    def __init__(self, tenant: TenantRef, model_id: str, dim: int, root: Path, executor: Executor) -> None:
        self.tenant, self.model_id, self.dim = tenant, model_id, dim
        self.state, self.detail = OPENING, ""
        self._root, self._executor = root, executor
        self._index: HnswIndex | None = None
        self._horizon = 0
        self._reconciled_at = 0.0
        self._synced_at = 0.0
        self._changed_at: float | None = None
        self._first_change_at: float | None = None
        self._turn = threading.Condition()
        self._asked = self._finished = self._wanted = 0
        self._working = False
        self._busy_since: float | None = None
        self._rebuild = False
        self._closed = False

    @property
    def index(self) -> HnswIndex | None:
        """What can be searched now: None until it was built once."""
        return self._index if self.state == READY else None

    @property
    def bytes(self) -> int:
        """About how much memory the index takes."""
        return 0 if self._index is None else self._index.stored * (4 * self.dim + 12 * LINKS)

    @property
    def report_state(self) -> str:
        return REBUILDING if self._rebuild and self.state == READY else self.state

    @property
    def busy_s(self) -> float:
        """How long the running sync has been running."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def mark_stale(self) -> None:
        """There is news in PostgreSQL: reading starts now, and searches wait for it."""
        self._wanted = self.request_sync()

    def pending(self, max_age_s: float) -> int | None:
        """The number of the sync that a search has to wait for, so that it sees what was there `max_age_s` ago."""
        if self._finished < self._wanted:
            return self._wanted
        return None if time.monotonic() - self._synced_at < max_age_s else self.request_sync()

    def request_rebuild(self) -> int:
        self._rebuild = True
        return self.request_sync()

    def request_sync(self) -> int:
        """Have PostgreSQL read once more from now on; the number is for `wait`."""
        with self._turn:
            self._asked += 1
            if not self._working and not self._closed:
                self._working = True
                self._executor.submit(self._work)
            return self._asked

    def wait(self, number: int, timeout_s: float) -> bool:
        """Whether the sync with this number finished in time."""
        with self._turn:
            return self._turn.wait_for(lambda: self._finished >= number, timeout_s)

    def close(self) -> None:
        """Finish the running task, start no other, and save what is not saved."""
        with self._turn:
            self._closed = True
            self._turn.wait_for(lambda: not self._working, 30.0)
        self.save()

    def save_if_due(self) -> None:
        """Save some seconds after the last change, at the latest a minute after the first."""
        now = time.monotonic()
        if self._changed_at is None or self._first_change_at is None:
            return
        if now - self._changed_at > SAVE_AFTER_S or now - self._first_change_at > SAVE_AT_LATEST_S:
            self.save()

    def save(self) -> None:
        index = self._index
        if index is None or self._changed_at is None:
            return
        self._changed_at = self._first_change_at = None
        try:
            files.save(self._root, self.tenant.id, self.model_id, self.dim, index)
        except OSError as error:
            self._note_change()
            log.error("index of %s is not saved, it stays in memory: %s", self.tenant.slug, error)

    def _work(self) -> None:
        while True:
            with self._turn:
                if self._closed or self._finished >= self._asked:
                    self._working = False
                    self._turn.notify_all()
                    return
                number = self._asked
            self._busy_since = time.monotonic()
            try:
                with in_tenant(self.tenant):
                    self._sync()
                self.detail = ""
            except _Closing:
                pass
            except (DatabaseFault, OSError) as error:
                self.state = READY if self.state == READY else FAILED
                self.detail = f"PostgreSQL cannot be read: {error}".strip()[:200]
                log.warning("index of %s: %s", self.tenant.slug, self.detail)
            except Exception as error:  # a worker thread's boundary: the owner must go on serving others
                self.state, self._index, self._rebuild = FAILED, None, True
                self.detail = f"{type(error).__name__}: {error}"[:200]
                log.exception("index of %s failed; it is built anew when next asked for", self.tenant.slug)
            finally:
                self._busy_since = None
                connections.close_all()
            with self._turn:
                self._finished = number
                self._turn.notify_all()

    def _sync(self) -> None:
        started = time.monotonic()
        if self._rebuild or (self._index is not None and self._index.worn):
            fresh = HnswIndex(self.dim)
            self._reconcile(fresh)
            self._index, self._rebuild = fresh, False
            self._note_change()
        elif self._index is None:
            self._index = self._load()  # a long build keeps what it has got so far, also over a restart
            self._reconcile(self._index)
        elif self.state != READY or started - self._reconciled_at > RECONCILE_EVERY_S:
            self._reconcile(self._index)
        else:
            self._read_news(self._index)
        self.state, self._synced_at = READY, started

    def _load(self) -> HnswIndex:
        try:
            index = files.load(self._root, self.tenant.id, self.model_id, self.dim)
        except files.FileRefused as refusal:
            log.warning("index file of %s is refused and built from PostgreSQL: %s", self.tenant.slug, refusal)
            index = None
        if index is None:
            index = HnswIndex(self.dim)
            self._note_change()
        return index

    def _reconcile(self, index: HnswIndex) -> None:
        """Make the index hold exactly what PostgreSQL holds, whatever happened in between."""
        self._horizon = changes.horizon()
        truth, held = changes.all_marks(self.model_id), index.marks()
        self._drop(index, [label for label, mark in held.items() if truth.get(label) != mark])
        self._add(index, [label for label, mark in truth.items() if held.get(label) != mark])
        self._reconciled_at = time.monotonic()

    def _read_news(self, index: HnswIndex) -> None:
        news = changes.news_since(self.model_id, self._horizon)
        held = index.marks() if news.written else {}
        self._add(index, [label for label in news.written if label not in held])
        self._drop(index, news.deleted)
        self._horizon = news.horizon

    def _add(self, index: HnswIndex, labels: list[int]) -> None:
        for batch in changes.read_vectors(self.model_id, self.dim, labels):
            if self._closed:
                raise _Closing
            index.add(batch.labels, batch.vectors, batch.marks)
            self._note_change()

    def _drop(self, index: HnswIndex, labels: list[int]) -> None:
        before = len(index)
        index.remove(labels)
        if len(index) != before:
            self._note_change()

    def _note_change(self) -> None:
        now = time.monotonic()
        self._changed_at = now
        self._first_change_at = self._first_change_at or now
