"""A closed loop of clients, and what the servers' processes spent meanwhile."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import psutil

from tests.benchmarks.http_client import SearchClient


@dataclass(frozen=True)
class Round:
    """One block of requests. `cpu_s` by process name; `client` is this process."""

    latencies_ms: list[float]
    wall_s: float
    cpu_s: dict[str, float]

    @property
    def requests_per_s(self) -> float:
        return len(self.latencies_ms) / self.wall_s


def run_round(clients: Sequence[SearchClient], queries: Sequence[str], watch: "Processes") -> Round:
    """Each client asks its share of `queries`, one after the other; all start together. Raises what a client raised."""
    shares = [queries[number :: len(clients)] for number in range(len(clients))]
    latencies: list[list[float]] = [[] for _ in clients]
    failures: list[Exception] = []
    gate = threading.Barrier(len(clients) + 1)

    for client in clients:
        client.reconnect()

    def ask(client: SearchClient, share: Sequence[str], into: list[float]) -> None:
        gate.wait()
        try:
            for query in share:
                started = time.perf_counter()
                client.send(query)
                into.append((time.perf_counter() - started) * 1000)
        except Exception as failure:  # noqa: BLE001  # a thread's boundary: raised again by the caller
            failures.append(failure)

    threads = [
        threading.Thread(target=ask, args=arguments) for arguments in zip(clients, shares, latencies, strict=True)
    ]
    for thread in threads:
        thread.start()
    before = watch.cpu_s()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - started
    if failures:
        raise failures[0]
    after = watch.cpu_s()
    return Round(
        latencies_ms=[value for share in latencies for value in share],
        wall_s=wall_s,
        cpu_s={name: after[name] - before.get(name, 0.0) for name in after},
    )


class Processes:
    """CPU time of process trees, by a name for each process; what ended meanwhile counts for its parent."""

    def __init__(self, roots: Iterable[int], name_of: Callable[[psutil.Process], str]) -> None:
        self._roots = [psutil.Process(pid) for pid in roots]
        self._name_of = name_of

    def cpu_s(self) -> dict[str, float]:
        """Seconds of user and system time so far, by name."""
        spent: dict[str, float] = {}
        for root in self._roots:
            for process in (root, *root.children(recursive=True)):
                try:
                    times, name = process.cpu_times(), self._name_of(process)
                except psutil.NoSuchProcess:
                    continue
                spent[name] = spent.get(name, 0.0) + sum(times[:4])  # with reaped children
        mine = time.process_time()
        return spent | {"client": mine}
