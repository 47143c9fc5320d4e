"""Two tenants on the running platform, a secret word in each: nothing of one appears anywhere in the other."""

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis import Redis

from tests.platform import Platform

pytestmark = pytest.mark.timeout(400)
PASSWORD = "a long enough password"


@dataclass(frozen=True)
class Side:
    """One tenant, its canary and a way in."""

    slug: str
    canary: str
    host: str
    key: str
    tenant_id: str


@pytest.fixture(scope="module")
def sides(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    """Tenants left and right, each with five documents that hold its canary in title, text and file name."""
    made = []
    for slug, canary in (("left", "zqcanaryleft"), ("right", "zqcanaryright")):
        host = f"{slug}.localhost"
        said = platform.manage(
            "tenant", "create", slug, "--domain", host, "--operator", f"op@{slug}.example", "--password", PASSWORD
        ).out
        folder = tmp_path_factory.mktemp(slug)
        for number in range(5):
            (folder / f"{canary}-{number}.md").write_text(
                f"# {canary} handbook {number}\n\nThe vault code of the office is {canary}-{number}. Ask {canary} before noon.\n"
            )
        (folder / "same.md").write_text("# Shared words\n\nThis text is equal in both tenants, to the last byte.\n")
        platform.manage("ingest", str(folder), "--tenant", slug, "--source", f"{canary} files", "--wait")
        found = re.search(r"\(([0-9a-f-]{36})\)", said)
        assert found
        made.append(Side(slug, canary, host, platform.key(slug), found[1]))
    return made[0], made[1]


def client_for(platform: Platform, side: Side) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{platform.port}",
        headers={"Authorization": f"Bearer {side.key}", "Host": side.host},
        timeout=60,
    )


@pytest.fixture
def left(platform: Platform, sides: tuple[Side, Side]) -> Iterator[httpx.Client]:
    with client_for(platform, sides[0]) as client:
        yield client


LISTS = ["documents", "sources", "ingest/runs", "jobs", "episodes", "policies", "systems", "conversations"]


@pytest.mark.parametrize("path", LISTS)
def test_no_list_shows_the_other_tenant(sides: tuple[Side, Side], left: httpx.Client, path: str) -> None:
    answer = left.get(f"/v1/{path}").raise_for_status()
    assert sides[1].canary not in answer.text
    assert sides[1].tenant_id not in answer.text


def test_search_and_chat_find_their_own_and_nothing_else(sides: tuple[Side, Side], left: httpx.Client) -> None:
    own = left.post("/v1/search", json={"query": "vault code of the office", "limit": 50, "explain": True})
    assert sides[0].canary in own.text
    for question in ("vault code of the office", sides[1].canary, f"{sides[1].canary} files"):
        found = (
            left.post("/v1/search", json={"query": question, "limit": 50, "explain": True}).raise_for_status().json()
        )
        assert sides[1].canary not in str(found["results"]) + str(found["facets"])
        said = left.post("/v1/chat", json={"message": f"What is {question}?"}).raise_for_status().text
        assert sides[1].canary not in said.replace(question, "")


def test_every_id_of_the_other_tenant_is_unknown(
    platform: Platform, sides: tuple[Side, Side], left: httpx.Client
) -> None:
    with client_for(platform, sides[1]) as right:
        documents = [row["id"] for row in right.get("/v1/documents").json()["results"]]
        runs = [row["id"] for row in right.get("/v1/ingest/runs").json()["results"]]
        sources = [row["id"] for row in right.get("/v1/sources").json()["results"]]
        jobs = [row["id"] for row in right.get("/v1/jobs").json()["results"]]
        assert documents
        assert jobs
        for path in (
            *(f"documents/{i}" for i in documents),
            *(f"documents/{i}/content" for i in documents),
            *(f"ingest/runs/{i}" for i in runs),
            *(f"jobs/{i}" for i in jobs[:3]),
        ):
            assert right.get(f"/v1/{path}").status_code == 200, path
            refused = left.get(f"/v1/{path}")
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found"), path
        assert left.delete(f"/v1/documents/{documents[0]}").status_code == 404
        assert left.post(f"/v1/sources/{sources[0]}/pause", json={"reason": "mine now"}).status_code == 404
        assert right.get(f"/v1/documents/{documents[0]}").json()["status"] == "ready"


def test_the_stream_carries_only_its_own_events(platform: Platform, sides: tuple[Side, Side], tmp_path: Path) -> None:
    heard: list[str] = []
    connected, done = threading.Event(), threading.Event()

    def listen() -> None:
        with client_for(platform, sides[0]) as client, client.stream("GET", "/v1/events?topics=*") as stream:
            for line in stream.iter_lines():
                heard.append(line)
                if line.startswith("event: connected"):
                    connected.set()
                if "ingest.completed" in line:
                    done.set()
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert connected.wait(20)
    for side in (sides[1], sides[0]):
        (tmp_path / f"{side.canary}-late.md").write_text(f"# Late {side.canary}\n\nA later page about {side.canary}.\n")
        platform.manage("ingest", str(tmp_path / f"{side.canary}-late.md"), "--tenant", side.slug, "--wait")
    assert done.wait(60)
    text = "\n".join(heard)
    assert "document.indexed" in text
    assert sides[1].canary not in text
    assert sides[1].tenant_id not in text


def test_a_key_does_not_open_the_other_host(platform: Platform, sides: tuple[Side, Side]) -> None:
    answer = httpx.get(
        f"http://127.0.0.1:{platform.port}/v1/documents",
        headers={"Authorization": f"Bearer {sides[0].key}", "Host": sides[1].host},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


def signed_in(platform: Platform, side: Side) -> httpx.Client:
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{platform.port}", headers={"Host": side.host}, timeout=60, follow_redirects=False
    )
    page = client.get("/login/").raise_for_status()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token
    answer = client.post(
        "/login/",
        data={
            "csrfmiddlewaretoken": token[1],
            "email": f"op@{side.slug}.example",
            "username": f"op@{side.slug}.example",
            "password": PASSWORD,
        },
        headers={"Origin": f"http://{side.host}", "Referer": f"http://{side.host}/login/"},
    )
    assert answer.status_code == 302, answer.text[:500]
    return client


def test_pages_and_console_show_one_tenant(platform: Platform, sides: tuple[Side, Side]) -> None:
    """Every admin list and page that is linked from the console's front page, and the product's own pages."""
    with closing(signed_in(platform, sides[0])) as client:
        front = client.get("/admin/").raise_for_status().text
        paths = sorted(set(re.findall(r'href="(/admin/[a-z]+/[a-z]+/)"', front)))
        assert len(paths) >= 6, paths
        own = 0
        for path in (*paths, "/", f"/?q={sides[1].canary}", "/?q=vault", "/chat/", "/ingest/", "/vsm/"):
            page = client.get(path)
            assert page.status_code == 200, path
            text = page.text.replace(f'value="{sides[1].canary}"', "").replace(f"“{sides[1].canary}”", "")
            assert sides[1].tenant_id not in text, path
            if path != f"/?q={sides[1].canary}":
                assert sides[1].canary not in text, path
            own += sides[0].canary in text
        assert own >= 3


def test_files_index_and_cache_are_apart(platform: Platform, sides: tuple[Side, Side]) -> None:
    data = platform.data_dir
    for folder in ("storage", "indexes"):
        mine, theirs = data / folder / sides[0].tenant_id, data / folder / sides[1].tenant_id
        if folder == "storage":
            assert any(mine.rglob("*"))
            assert any(theirs.rglob("*"))
        for file in mine.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert sides[1].canary.encode() not in content, file
                assert sides[1].tenant_id.encode() not in content, file
    socket = next(data.rglob("valkey.sock"), None) or next(Path("/tmp").glob("*/valkey.sock"))
    with Redis(unix_socket_path=str(socket)) as valkey:
        for key in valkey.scan_iter("*"):
            assert sides[0].canary.encode() not in key
            assert sides[1].canary.encode() not in key
            if valkey.type(key) == b"string":
                value = valkey.get(key) or b""
                if sides[1].canary.encode() in value:
                    assert sides[0].tenant_id.encode() not in key
