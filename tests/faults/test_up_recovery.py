"""`make up` under kill -9: of each process it supervises, and of itself. Real processes, a data directory of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from apps.core.embedded.paths import REPOSITORY, DataDir
from apps.core.embedded.plan import QUEUE_THREADS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]
SUITE_VARIABLES = ("DATABASE_", "CYBERNETIC_", "REDIS_", "CELERY_", "DJANGO_", "EGRESS_")


class Run:
    """One `make up` on `files`, seen from outside."""

    def __init__(self, files: DataDir, port: int) -> None:
        self.files = files
        self.port = port
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SUITE_VARIABLES)}
        environment |= {"CYBERNETIC_DATA_DIR": str(files.root), "CYBERNETIC_PORT": str(port)}
        self.said = files.root.parent / f"said-{port}.txt"
        with self.said.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "apps.core.embedded.up"],
                cwd=REPOSITORY,
                env=environment,
                stdout=output,
                stderr=output,
            )

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} never happened:\n{self.said.read_text()}"
            time.sleep(0.1)

    def until_ready(self) -> "Run":
        def serves() -> bool:
            assert self.process.poll() is None, self.said.read_text()
            return "Cybernetic runs at" in self.said.read_text()

        self.until(serves, "the start", 240.0)
        return self

    def children(self) -> dict[str, int]:
        try:
            stored = json.loads(self.files.processes.read_text())
        except FileNotFoundError:
            return {}
        return {child["name"]: child["pid"] for child in stored["children"]}

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            response = connection.getresponse()
            return response.status == 200 and json.loads(response.read())["status"] == "ok"
        except OSError:
            return False
        finally:
            connection.close()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    return DataDir(tmp_path_factory.mktemp("up") / "data")


@pytest.fixture
def start(files: DataDir) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []

    def begin() -> Run:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        runs.append(Run(files, port))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.send_signal(signal.SIGINT)
        run.process.wait(120)


def test_every_killed_process_comes_back(start: Callable[[], Run]) -> None:
    run = start().until_ready()
    names = {"postgres", "valkey", "web", "index", "relay", "beat", *(f"worker-{queue}" for queue in QUEUE_THREADS)}
    assert set(run.children()) == names
    second = start()
    assert second.process.wait(60) == 1
    assert f"in use by process {run.process.pid}" in second.said.read_text()
    for name in sorted(names):
        before = run.children()[name]
        os.kill(before, signal.SIGKILL)

        def restarted(name: str = name, before: int = before) -> bool:
            return run.children().get(name, before) != before

        run.until(restarted, f"a new {name}")
        run.until(run.answers, f"readiness after killing {name}")
    assert run.process.poll() is None


def test_a_killed_supervisor_does_not_stop_the_next_start(start: Callable[[], Run]) -> None:
    killed = start().until_ready()
    before = killed.children()
    killed.process.kill()
    killed.process.wait()
    run = start().until_ready()
    assert [name for name, pid in before.items() if not gone(pid)] == []
    assert set(run.children()) == set(before)
    run.until(run.answers, "readiness")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing_behind(start: Callable[[], Run], files: DataDir, number: signal.Signals) -> None:
    run = start().until_ready()
    tree = [process.pid for process in psutil.Process(run.process.pid).children(recursive=True)]
    assert len(tree) > 11
    run.process.send_signal(number)
    assert run.process.wait(120) == 0
    assert [pid for pid in tree if not gone(pid)] == []
    for path in (files.lock, files.env_json, files.env_shell, files.processes, files.postgres / "postmaster.pid"):
        assert not path.exists()
    sockets = [path for path in files.root.rglob("*") if path.is_socket()]
    assert sockets == []
    if files.run.parent != files.root:
        assert not files.run.exists() or list(files.run.iterdir()) == []
