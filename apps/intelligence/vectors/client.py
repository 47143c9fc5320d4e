"""Asks the index owner, over its socket. Callers fall back to PostgreSQL when it is away."""

import logging
import socket
import threading
import time
from uuid import UUID

from apps.intelligence.conf import intelligence_settings
from apps.intelligence.errors import EmbedderUnavailable, ModelMissing
from apps.intelligence.vectors import protocol

CONNECT_TIMEOUT_S = 0.5
NOTIFY_TIMEOUT_S = 0.5
REST_AFTER_TIMEOUT_S = 2.0
MAX_KEPT = 16

log = logging.getLogger(__name__)


class OwnerUnavailable(Exception):
    """The index owner does not answer, or refuses: do without it."""


class OwnerClient:
    """Keeps connections for reuse. After a request timed out, callers are refused at once for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._resting_until = 0.0

    def ask(self, request: protocol.Request, timeout_s: float) -> protocol.Reply:
        """The owner's reply. Raises OwnerUnavailable."""
        if time.monotonic() < self._resting_until:
            raise OwnerUnavailable("the index owner did not answer in time a moment ago")
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                return self._exchange(kept, request, timeout_s)
            except TimeoutError as error:
                raise self._rest(error) from error
            except OSError:
                self._forget_idle()  # the owner restarted: its old connections are all gone
        try:
            return self._exchange(self._connect(), request, timeout_s)
        except TimeoutError as error:
            raise self._rest(error) from error
        except OSError as error:
            raise OwnerUnavailable(f"the index owner is not running ({error.strerror or error})") from error

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(str(intelligence_settings().socket))
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(self, connection: socket.socket, request: protocol.Request, timeout_s: float) -> protocol.Reply:
        try:
            connection.settimeout(timeout_s)
            protocol.send(connection, request)
            reply = protocol.receive_reply(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if len(self._idle) < MAX_KEPT:
                self._idle.append(connection)
                return reply
        connection.close()
        return reply

    def _forget_idle(self) -> None:
        with self._lock:
            gone, self._idle = self._idle, []
        for connection in gone:
            connection.close()

    def _rest(self, error: TimeoutError) -> OwnerUnavailable:
        self._resting_until = time.monotonic() + REST_AFTER_TIMEOUT_S
        log.warning("the index owner did not answer in time; PostgreSQL serves for %s s", REST_AFTER_TIMEOUT_S)
        return OwnerUnavailable(f"the index owner did not answer in time ({error})")


_client = OwnerClient()


def ask(request: protocol.Request, *, timeout_s: float | None = None) -> protocol.Reply:
    """The owner's reply. Raises OwnerUnavailable, also when the owner refuses; EmbedderUnavailable."""
    reply = _client.ask(request, timeout_s or intelligence_settings().search_timeout_s)
    if isinstance(reply, protocol.Refused):
        if reply.code in {EmbedderUnavailable.code, ModelMissing.code}:
            raise EmbedderUnavailable(reply.detail)
        raise OwnerUnavailable(f"the index owner refused: {reply.detail}")
    return reply


def notify(tenant_id: UUID) -> bool:
    """Say that a tenant has news; False when nobody listened."""
    try:
        ask(protocol.Refresh(tenant_id), timeout_s=NOTIFY_TIMEOUT_S)
    except OwnerUnavailable:
        return False
    return True
