"""The one process per node that holds the indexes in memory, embeds queries, and answers on a Unix socket."""

import fcntl
import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import numpy as np
from django.db import Error as DatabaseFault
from django.db import connections

from apps.core.errors import DomainError
from apps.core.tenancy import TenantRef
from apps.intelligence.conf import IntelligenceSettings, intelligence_settings
from apps.intelligence.ports import Embedder, Vectors, embedder
from apps.intelligence.vectors import files, hnsw, protocol
from apps.intelligence.vectors.served import ServedIndex
from apps.tenants.selectors import tenant_by_id

MAX_CONNECTIONS = 128
MAX_CACHED_QUERIES = 4096
TENANT_CACHE_S = 30.0
# A search reads PostgreSQL for news when the last look is older than FRESH_S, and waits this long for it; when a large
# change keeps the index busy for longer than GIVE_UP_WAITING_S, searches go on with what is there.
FRESH_S, WAIT_FOR_NEWS_S, WAIT_FOR_OPEN_S, GIVE_UP_WAITING_S = 0.25, 0.15, 0.5, 1.0
SAVE_POLL_S = 1.0
CONNECTION_IDLE_S = 300.0

log = logging.getLogger(__name__)


class AlreadyOwned(RuntimeError):
    """Another index owner runs on these index files."""


class IndexOwner:
    """Answers requests; every answer about a tenant comes from that tenant's own index."""

    def __init__(
        self,
        settings: IntelligenceSettings | None = None,
        *,
        resolve: Callable[[UUID], TenantRef] = tenant_by_id,
        model: Embedder | None = None,
        indexed: bool | None = None,
    ) -> None:
        self._settings = settings or intelligence_settings()
        self._resolve = resolve
        self._model = model or embedder()
        self._indexed = hnsw.available() if indexed is None else indexed
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._indexes: OrderedDict[UUID, ServedIndex] = OrderedDict()
        self._tenants: dict[UUID, tuple[float, TenantRef]] = {}
        self._queries: OrderedDict[tuple[UUID, str], Vectors] = OrderedDict()
        self._executor = ThreadPoolExecutor(2, "index-sync")

    def answer(self, request: protocol.Request) -> protocol.Reply:
        """The reply to one request; refusals are replies too."""
        try:
            match request:
                case protocol.Search():
                    reply: protocol.Reply = self._search(request)
                case protocol.Embed():
                    self._check_model(request.model_id)
                    vector = self._embed(self._tenant(request.tenant), request.text)
                    reply = protocol.NoIndex("", protocol.pack_vector(vector))
                case protocol.Refresh():
                    reply = self._refresh(request.tenant)
                case protocol.Rebuild():
                    reply = self._rebuild(request.tenant)
                case protocol.Drop():
                    reply = self._drop(request.tenant)
                case protocol.Status():
                    reply = self._report()
        except DomainError as error:
            reply = protocol.Refused(error.code, error.detail)
        except DatabaseFault as error:
            log.warning("%s: PostgreSQL does not answer: %s", type(request).__name__, error)
            reply = protocol.Refused("database_unavailable", "PostgreSQL does not answer")
        return reply

    def save_due(self) -> None:
        """Write indexes whose changes have settled, and keep memory within its limit."""
        for served in self._all():
            served.save_if_due()
        self._evict()

    def close(self) -> None:
        """Finish what runs and save everything."""
        for served in self._all():
            served.close()
        self._executor.shutdown()

    def _search(self, request: protocol.Search) -> protocol.Reply:
        self._check_model(request.model_id)
        tenant = self._tenant(request.tenant)
        served = self._served(tenant) if self._indexed else None
        number = served.pending(FRESH_S) if served is not None else None
        vector = self._query_vector(tenant, request)
        packed = protocol.pack_vector(vector)
        if served is None:
            return protocol.NoIndex("hnswlib is not installed", packed)
        if number is not None and served.busy_s < GIVE_UP_WAITING_S:
            served.wait(number, WAIT_FOR_NEWS_S if served.index is not None else WAIT_FOR_OPEN_S)
        index = served.index
        if index is None:
            return protocol.NoIndex(served.detail or "the index is being built", packed)
        try:
            hits = index.search(vector, max(1, min(request.k, protocol.MAX_K)))
        except RuntimeError as error:
            return protocol.NoIndex(f"hnswlib: {error}", packed)
        return protocol.Hits([label for label, _ in hits], [score for _, score in hits], packed)

    def _query_vector(self, tenant: TenantRef, request: protocol.Search) -> Vectors:
        if not request.vector:
            return self._embed(tenant, request.text)
        vector = protocol.unpack_vector(request.vector)
        if vector.shape != (self._model.dim,) or not np.isfinite(vector).all():
            raise DomainError(f"A query vector has {self._model.dim} finite numbers.")
        return vector

    def _embed(self, tenant: TenantRef, text: str) -> Vectors:
        """Cached per tenant: how fast a query is answered must not tell what another tenant asked."""
        key = (tenant.id, text[: protocol.MAX_TEXT_CHARS])
        with self._lock:
            if (found := self._queries.get(key)) is not None:
                self._queries.move_to_end(key)
                return found
        vector: Vectors = self._model.embed([key[1]])[0]
        with self._lock:
            self._queries[key] = vector
            while len(self._queries) > MAX_CACHED_QUERIES:
                self._queries.popitem(last=False)
        return vector

    def _refresh(self, tenant_id: UUID) -> protocol.Reply:
        """Indexes that nobody has searched yet are left alone: they read everything when they open."""
        with self._lock:
            served = self._indexes.get(tenant_id)
        if served is not None:
            served.mark_stale()
        return protocol.Done()

    def _rebuild(self, tenant_id: UUID) -> protocol.Reply:
        if not self._indexed:
            raise DomainError("hnswlib is not installed: there is no index to build.")
        self._served(self._tenant(tenant_id)).request_rebuild()
        return protocol.Done()

    def _drop(self, tenant_id: UUID) -> protocol.Reply:
        with self._lock:
            served = self._indexes.pop(tenant_id, None)
            self._tenants.pop(tenant_id, None)
            for key in [key for key in self._queries if key[0] == tenant_id]:
                del self._queries[key]
        if served is not None:
            served.close()
        files.remove(self._settings.indexes_dir, tenant_id)
        return protocol.Done()

    def _report(self) -> protocol.Report:
        reports = [
            protocol.IndexReport(
                served.tenant.id,
                served.report_state,
                len(served.index) if served.index else 0,
                served.index.stored if served.index else 0,
                served.bytes,
                served.detail,
            )
            for served in self._all()
        ]
        return protocol.Report(
            "hnswlib" if self._indexed else "pgvector",
            self._model.model_id,
            os.getpid(),
            time.monotonic() - self._started,
            "" if self._indexed else "hnswlib is not installed: exact search in PostgreSQL serves",
            reports,
        )

    def _check_model(self, model_id: str) -> None:
        if model_id != self._model.model_id:
            raise DomainError(f"This index owner serves {self._model.model_id}, not {model_id}.")

    def _tenant(self, tenant_id: UUID) -> TenantRef:
        """The tenant as the database knows it; a caller only says its id. Raises UnknownTenant."""
        cached = self._tenants.get(tenant_id)
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        try:
            ref = self._resolve(tenant_id)
        finally:
            connections.close_all()
        self._tenants[tenant_id] = (time.monotonic() + TENANT_CACHE_S, ref)
        return ref

    def _served(self, tenant: TenantRef) -> ServedIndex:
        with self._lock:
            served = self._indexes.get(tenant.id)
            if served is None:
                served = ServedIndex(
                    tenant, self._model.model_id, self._model.dim, self._settings.indexes_dir, self._executor
                )
                self._indexes[tenant.id] = served
            self._indexes.move_to_end(tenant.id)
            return served

    def _all(self) -> list[ServedIndex]:
        with self._lock:
            return list(self._indexes.values())

    def _evict(self) -> None:
        """Let go of the indexes used longest ago until the rest fit."""
        while True:
            with self._lock:
                total = sum(served.bytes for served in self._indexes.values())
                if total <= self._settings.loaded_indexes_bytes or len(self._indexes) < 2:
                    return
                _, oldest = self._indexes.popitem(last=False)
            oldest.close()


@contextmanager
def owner_lock(folder: Path) -> Iterator[None]:
    """Only one owner per set of index files; the lock ends with its process. Raises AlreadyOwned."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".owner.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyOwned(f"Another index owner is running here (process {file.read().strip() or '?'}).") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


class OwnerServer:
    """Accepts connections on the socket; one thread each, at most MAX_CONNECTIONS."""

    def __init__(self, owner: IndexOwner, path: Path) -> None:
        self._owner, self._path = owner, path
        self._stop = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()

    def stop(self) -> None:
        """Safe to call from a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Serve until stopped, then save every index."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            before = os.umask(0o177)
            try:
                listener.bind(str(self._path))
            finally:
                os.umask(before)
            listener.listen(MAX_CONNECTIONS)
            listener.settimeout(0.2)
            saver = threading.Thread(target=self._save_now_and_then, name="index-saver", daemon=True)
            saver.start()
            log.info("index owner ready on %s", self._path)
            try:
                while not self._stop.is_set():
                    self._accept(listener)
            finally:
                self._path.unlink(missing_ok=True)
                self._disconnect_all()
                saver.join()
                self._owner.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        if not self._slots.acquire(blocking=False):
            connection.close()
            return
        self._open.add(connection)
        threading.Thread(target=self._serve, args=(connection,), name="index-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(CONNECTION_IDLE_S)
            while not self._stop.is_set():
                request = protocol.receive_request(connection)
                protocol.send(connection, self._reply(request))
        except OSError:
            pass
        finally:
            self._open.discard(connection)
            connection.close()
            self._slots.release()

    def _reply(self, request: protocol.Request) -> protocol.Reply:
        try:
            return self._owner.answer(request)
        except Exception as error:
            log.exception("request %s failed", type(request).__name__)
            return protocol.Refused("internal", type(error).__name__)

    def _save_now_and_then(self) -> None:
        while not self._stop.wait(SAVE_POLL_S):
            self._owner.save_due()

    def _disconnect_all(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
