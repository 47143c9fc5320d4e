"""Readiness, with dependencies that are really there and really away."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from kombu.exceptions import OperationalError

from apps.core.heartbeats import beat
from apps.gateway.health import PROCESSES, Check, Finding, Health
from tests.gateway.conftest import LiveServer, quick


def test_report_names_every_dependency(server: LiveServer) -> None:
    for name in PROCESSES:
        beat(name)
    with server.client(Host="x") as client:
        reply = client.get("/health/ready")
    body = reply.json()
    assert reply.status_code == 200
    assert set(body["checks"]) == {
        "postgresql", "valkey", "broker", "processes", "vector_index", "embedder", "llm",
    }  # fmt: skip
    for name in ("postgresql", "valkey", "broker", "processes", "embedder", "llm"):
        assert body["checks"][name]["status"] == "ok", body
        assert body["checks"][name]["latency_ms"] >= 0
    assert body["checks"]["vector_index"]["backend"] in {"hnswlib", "pgvector"}
    assert body["failing"] in ([], ["vector_index"])
    assert body["status"] == ("degraded" if body["failing"] else "ok")
    assert "://" not in reply.text
    assert "password" not in reply.text


def health_with(**answers: Finding | Exception) -> Health:
    """A Health whose checks are these answers."""
    health = Health(quick(health_cache_s=0, health_timeout_s=0.3))

    def asking(answer: Finding | Exception) -> Finding:
        if isinstance(answer, Exception):
            raise answer
        return answer

    health._checks = [Check(name, partial(asking, answer)) for name, answer in answers.items()]
    return health


@pytest.mark.parametrize(
    ("answers", "status", "failing"),
    [
        ({"postgresql": Finding(True), "valkey": Finding(True)}, "ok", []),
        ({"postgresql": Finding(True), "valkey": ConnectionError("secret")}, "degraded", ["valkey"]),
        ({"postgresql": Finding(True), "broker": OperationalError("secret")}, "degraded", ["broker"]),
        ({"postgresql": RuntimeError("secret"), "valkey": Finding(True)}, "unavailable", ["postgresql"]),
    ],
)
async def test_only_postgresql_makes_it_unavailable(
    answers: dict[str, Finding | Exception], status: str, failing: list[str]
) -> None:
    report = await health_with(**answers).report()
    assert (report["status"], report["failing"]) == (status, failing)
    assert "secret" not in str(report)


async def test_a_hanging_dependency_is_down_and_asked_once() -> None:
    released, asked = threading.Event(), []

    def hang() -> Finding:
        asked.append(1)
        released.wait(5)
        return Finding(True)

    check = Check("slow", hang)
    with ThreadPoolExecutor(2) as pool:
        first = await check.run(pool, 0.1)
        second = await check.run(pool, 0.1)
        released.set()
        third = await check.run(pool, 2)
    assert [entry["status"] for entry in (first, second, third)] == ["down", "down", "ok"]
    assert first["cause"] == "timeout"
    assert len(asked) == 1


async def test_many_askers_share_one_round() -> None:
    asked = []
    health = Health(quick(health_cache_s=5))
    health._checks = [Check("postgresql", lambda: asked.append(1) or Finding(True))]  # type: ignore[func-returns-value]  # counts
    await asyncio.gather(*(health.report() for _ in range(50)))
    assert len(asked) == 1
