"""Latency of search through the API, beside plain Django searches on the same rows, machine and minute.

    python -m tests.benchmarks.search_latency --tenant demo --url http://localhost:8000 --out latency.json

Closed loop: each client waits for its answer before it asks again, so percentiles hold for that many clients and not
for an arrival rate. Platform and peers take turns (ABC, CBA), with queries that neither has seen. Nothing here fails on a
time; the report gives ratios with intervals, and the ratio of the platform to itself as the noise floor.
"""

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.benchmarks import instance
from tests.benchmarks.figures import percentile, ratio_of_medians
from tests.benchmarks.http_client import SearchClient
from tests.benchmarks.load import Processes, Round, run_round
from tests.benchmarks.queries import FreshQueries

from apps.core.embedded.lock import holder  # isort: skip  # instance sets Django up
from apps.core.embedded.paths import data_dir  # isort: skip
from apps.core.tenancy import TenantRef, in_tenant  # isort: skip
from apps.intelligence import vectors  # isort: skip

CLIENTS = (1, 4, 16)
ROUNDS = 8
REQUESTS = {1: 60, 4: 100, 16: 160}
"""Requests of one round by number of clients."""
WARM_UP = 40
REPEATED = 200
API_KEYS = 24
NEIGHBOURS = 10
VECTOR_QUERIES = 100
PLATFORM = "platform"
PEERS = {"Django full text, all words": "/all-words", "Django full text, any word": "/any-word"}
"""Paths of the peer's server by name."""
PEER_START_S = 30


@dataclass(frozen=True)
class Side:
    """One server under load."""

    name: str
    connect: Callable[[int], SearchClient]


class PeerFailed(RuntimeError):
    """The peer's server did not start."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    ref = instance.measured_tenant(options.tenant)
    report = instance.describe(ref)
    with in_tenant(ref):
        queries = FreshQueries(seed=options.seed)
    with instance.api_keys(ref, API_KEYS) as keys, peer_server(ref) as (peer_url, peer_pid):
        platform = Side(PLATFORM, lambda number: SearchClient(options.url, keys[number:] + keys[:number]))
        sides = [platform, *(_peer(name, peer_url, path) for name, path in PEERS.items())]
        watch = Processes([_supervisor(), peer_pid], lambda process: _name(process, peer_pid))
        for side in sides:
            run_round(_clients(side, 4), queries.take(WARM_UP), watch)
        report["latency"] = {
            str(count): _compare(sides, count, queries, watch, turns=options.rounds) for count in CLIENTS
        }
        report["repeated_query"] = summary([_repeated(platform, queries.take(1)[0], watch)])
        report["inside"] = inside_share(platform, queries.take(VECTOR_QUERIES))
    report["vector_leg"] = vector_leg(ref, queries.take(VECTOR_QUERIES))
    report["load_average_at_end"] = os.getloadavg()
    if options.out:
        instance.write_report(options.out, report)
    show(report, Console(width=150))
    return 0


def _compare(
    sides: Sequence[Side], count: int, queries: FreshQueries, watch: Processes, *, turns: int
) -> dict[str, Any]:
    rounds: dict[str, list[Round]] = {side.name: [] for side in sides}
    clients = {side.name: _clients(side, count) for side in sides}
    for turn in range(turns):
        asked = queries.take(REQUESTS[count])
        for side in sides if turn % 2 == 0 else reversed(sides):
            rounds[side.name].append(run_round(clients[side.name], asked, watch))
    for client in chain.from_iterable(clients.values()):
        client.close()
    medians = {name: [statistics.median(done.latencies_ms) for done in made] for name, made in rounds.items()}
    ours = medians[PLATFORM]
    return {
        "sides": {name: summary(made) for name, made in rounds.items()},
        "platform_p50_over": {name: ratio_of_medians(ours, theirs) for name, theirs in medians.items() if name in PEERS}
        | {"itself": ratio_of_medians(ours[::2], ours[1::2])},
    }


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Percentiles over all requests of the rounds; CPU milliseconds per request by process."""
    latencies = [value for done in rounds for value in done.latencies_ms]
    cpu: dict[str, float] = {}
    for done in rounds:
        for name, seconds in done.cpu_s.items():
            cpu[name] = cpu.get(name, 0.0) + seconds * 1000 / len(latencies)
    wall = sum(done.wall_s for done in rounds)
    return {
        "requests": len(latencies),
        "p50_ms": percentile(latencies, 50),
        "p95_ms": percentile(latencies, 95),
        "p99_ms": percentile(latencies, 99),
        "max_ms": max(latencies),
        "requests_per_s": len(latencies) / wall,
        "cpu_ms_per_request": {name: round(spent, 2) for name, spent in sorted(cpu.items()) if spent >= 0.01},
        "cores_busy": sum(sum(done.cpu_s.values()) for done in rounds) / wall,
    }


def inside_share(side: Side, queries: Sequence[str]) -> dict[str, float]:
    """How much of a request the search itself takes: `took_ms` of the answer, beside what one client waits."""
    client = side.connect(0)
    took, waited = [], []
    for query in queries:
        started = time.perf_counter()
        took.append(float(client.search(query)["took_ms"]))
        waited.append((time.perf_counter() - started) * 1000)
    client.close()
    return {"search_p50_ms": percentile(took, 50), "request_p50_ms": percentile(waited, 50)}


def vector_leg(ref: TenantRef, queries: Sequence[str]) -> dict[str, Any]:
    """The index against comparing every vector in PostgreSQL: what it finds of it, then how long each takes."""
    fast: list[float] = []
    exact: list[float] = []
    found = 0
    backend = ""
    with in_tenant(ref):
        asked = [vectors.embed_query(query) for query in queries]
        for number, vector in enumerate(asked):
            for which in ("index", "exact") if number % 2 == 0 else ("exact", "index"):
                started = time.perf_counter()
                if which == "index":
                    hits = vectors.search(vector, k=NEIGHBOURS)
                    fast.append((time.perf_counter() - started) * 1000)
                else:
                    truth = vectors.exact_search(vector, k=NEIGHBOURS)
                    exact.append((time.perf_counter() - started) * 1000)
            backend = hits.backend
            found += len({label for label, _ in hits.hits} & {label for label, _ in truth})
    return {
        "backend": backend,
        f"recall@{NEIGHBOURS}": found / (NEIGHBOURS * len(asked)),
        "index_p50_ms": percentile(fast, 50),
        "index_p99_ms": percentile(fast, 99),
        "pgvector_exact_p50_ms": percentile(exact, 50),
        "pgvector_exact_p99_ms": percentile(exact, 99),
        "index_over_exact_p50": ratio_of_medians(fast, exact),
    }


@contextmanager
def peer_server(ref: TenantRef) -> Iterator[tuple[str, int]]:
    """The peer on a free port, as the application's own database role in the tenant. Raises PeerFailed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PEER_DATABASE_URL": os.environ["DATABASE_APP_URL"],
        "PEER_TENANT_ID": str(ref.id),
        "PEER_SCHEMA": ref.schema,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.peer_server", str(port)], env=environment
    ) as process:
        try:
            _wait_for(process, port)
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PEER_START_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    raise PeerFailed("The peer's server did not start; its messages are above.")


def _repeated(side: Side, query: str, watch: Processes) -> Round:
    clients = _clients(side, 1)
    run_round(clients, [query] * WARM_UP, watch)
    return run_round(clients, [query] * REPEATED, watch)


def _peer(name: str, url: str, path: str) -> Side:
    return Side(name, lambda _: SearchClient(url, ["none"], path=path))


def _clients(side: Side, count: int) -> list[SearchClient]:
    return [side.connect(number) for number in range(count)]


def _supervisor() -> int:
    held = holder(data_dir().lock)
    if held is None:
        raise SystemExit(f"Nothing runs in {data_dir().root}: start `make up`, or set CYBERNETIC_DATA_DIR.")
    return held.pid


def _name(process: psutil.Process, peer_pid: int) -> str:
    if process.pid == peer_pid:
        return "peer"
    words = process.cmdline()
    line = " ".join(words)
    for mark, name in (
        ("cybernetic.asgi", "web"),
        ("index_owner", "index"),
        ("postgres", "postgres"),
        ("valkey", "valkey"),
    ):
        if mark in line:
            return name
    return "other"


def show(report: dict[str, Any], console: Console) -> None:
    """The tables of a report."""
    table = Table(title="POST /v1/search, distinct queries")
    for heading in ("clients", "", "p50 ms", "p95 ms", "p99 ms", "requests/s", "CPU ms per request", "cores busy"):
        table.add_column(heading)
    for count, compared in report["latency"].items():
        for name, figures in compared["sides"].items():
            table.add_row(count, name, *_row(figures))
    table.add_row("1", "platform, one query repeated", *_row(report["repeated_query"]))
    console.print(table)
    for count, compared in report["latency"].items():
        ratios = ", ".join(f"{name} {_times(ratio)}" for name, ratio in compared["platform_p50_over"].items())
        console.print(f"{count} clients, platform's p50 over that of: {ratios}")
    console.print(f"inside: {report['inside']}")
    console.print(f"vector leg: {report['vector_leg']}")


def _row(figures: dict[str, Any]) -> list[str]:
    cpu = ", ".join(f"{name} {spent:.1f}" for name, spent in figures["cpu_ms_per_request"].items())
    return [
        *(f"{figures[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms", "requests_per_s")),
        cpu,
        f"{figures['cores_busy']:.2f}",
    ]


def _times(ratio: Any) -> str:
    return f"{ratio.value:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.search_latency", description=__doc__)
    parser.add_argument("--tenant", default="demo", help="The tenant that holds the corpus (default: demo).")
    parser.add_argument("--url", default="http://localhost:8000", help="Where the tenant answers.")
    parser.add_argument("--seed", type=int, default=0, help="Another seed draws other queries, unseen by any cache.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"Turns of each side (default {ROUNDS}).")
    parser.add_argument("--out", type=Path, help="Write everything as JSON to this file.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
