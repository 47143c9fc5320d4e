"""An index owner of the suite's own, in this process, on the socket that callers use."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from apps.intelligence.conf import intelligence_settings
from apps.intelligence.vectors import protocol
from apps.intelligence.vectors.owner import IndexOwner, OwnerServer


class RunningOwner:
    """Starts, stops and restarts; each start reads the files the last one left."""

    def __init__(self) -> None:
        self.owner: IndexOwner | None = None
        self._server: OwnerServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, *, indexed: bool | None = None) -> IndexOwner:
        self.owner = IndexOwner(indexed=indexed)
        self._server = OwnerServer(self.owner, intelligence_settings().socket)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(intelligence_settings().socket.exists)
        return self.owner

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join()
        self._server = self._thread = self.owner = None

    def report(self) -> protocol.Report:
        assert self.owner is not None
        reply = self.owner.answer(protocol.Status())
        assert isinstance(reply, protocol.Report)
        return reply


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def running_owner() -> Iterator[RunningOwner]:
    running = RunningOwner()
    yield running
    running.stop()


@pytest.fixture
def owner(running_owner: RunningOwner) -> RunningOwner:
    running_owner.start()
    return running_owner
