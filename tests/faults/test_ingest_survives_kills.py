"""kill -9 of any one process during an ingest of 200 documents: the run completes, every document exactly once."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.platform import Platform

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
DOCUMENTS = 200
VICTIMS = ["worker-storage", "worker-default", "web", "relay", "index", "beat", "valkey", "postgres"]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    running = Platform()
    try:
        yield running.start()
    finally:
        running.discard()


@pytest.fixture(scope="module")
def key(platform: Platform) -> str:
    return platform.key()


def documents_of(client: httpx.Client, source: str) -> list[dict[str, object]]:
    """All documents of one source, through the API's pages."""
    rows: list[dict[str, object]] = []
    url: str | None = f"/v1/documents?limit=100&source={source}"
    while url:
        page = client.get(url).raise_for_status().json()
        rows += page["results"]
        url = page["next"]
    return rows


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_killed_process_loses_nothing(platform: Platform, key: str, tmp_path: Path, victim: str) -> None:
    for number in range(DOCUMENTS):
        (tmp_path / f"{number:03}.md").write_text(
            f"# Page {number}\n\nThe word zq{victim.replace('-', '')}{number:03} stands on page {number} alone.\n"
        )
    with platform.client(key) as client:
        kill_during_ingest(platform, client, tmp_path, victim)


def kill_during_ingest(platform: Platform, client: httpx.Client, tmp_path: Path, victim: str) -> None:
    platform.manage("ingest", str(tmp_path), "--tenant", "demo", "--source", f"kill {victim}")
    run = client.get("/v1/ingest/runs?limit=1").raise_for_status().json()["results"][0]

    def state() -> tuple[str, int]:
        try:
            answer = client.get(f"/v1/ingest/runs/{run['id']}").raise_for_status().json()
        except httpx.HTTPError:
            return "unknown", 0
        return str(answer["status"]), int(answer["progress"]["done"])

    platform.until(lambda: state()[1] >= 5, "work in flight")
    done_when_killed = state()[1]
    before = platform.pids()[victim]
    os.kill(before, signal.SIGKILL)
    assert done_when_killed < DOCUMENTS, "the fault came too late to prove anything"

    platform.until(lambda: platform.pids().get(victim, before) != before, "the restart")
    platform.until(lambda: state()[0] == "completed", "the end of the run", 300)

    rows = documents_of(client, run["source_id"])
    assert Counter(str(row["status"]) for row in rows) == {"ready": DOCUMENTS}
    assert len({row["uri"] for row in rows}) == DOCUMENTS
    for number in (0, DOCUMENTS // 2, DOCUMENTS - 1):
        word = f"zq{victim.replace('-', '')}{number:03}"
        found = client.post("/v1/search", json={"query": word, "limit": 5}).raise_for_status().json()["results"]
        assert [hit["title"] for hit in found if word in hit["chunk"]["text"]] == [f"Page {number}"]
