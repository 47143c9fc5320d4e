"""The running platform that is measured: attach to its servers, describe it and the machine, get keys for it.

Import this module before any of `apps`: it sets Django up from the data directory of a running `make up`.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import django

from apps.core.embedded.attach import attach_env

attach_env()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")
django.setup()

from django.db import connections  # noqa: E402  # Django must be set up first

from apps.content.retrieval_conf import retrieval_settings  # noqa: E402
from apps.content.selectors.search import DF_TTL_S, MATCH_BUDGET  # noqa: E402
from apps.core.tenancy import TenantRef, alias_in_force, in_tenant  # noqa: E402
from apps.intelligence import vectors  # noqa: E402
from apps.tenants.models import ApiKey  # noqa: E402
from apps.tenants.selectors import tenant_by_slug  # noqa: E402
from apps.tenants.services import create_api_key, revoke_api_key  # noqa: E402

PACKAGES = ("django", "djangorestframework", "psycopg", "pgvector", "hnswlib", "onnxruntime", "uvicorn", "numpy")


@dataclass(frozen=True, slots=True)
class Corpus:
    """What the tenant holds, and how its largest ingest run went."""

    documents: int
    failed: int
    chunks: int
    vectors: int
    characters: int
    run_documents: int
    run_failed: int
    run_seconds: float | None

    @property
    def documents_per_s(self) -> float | None:
        return self.run_documents / self.run_seconds if self.run_seconds else None


def rows(sql: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of one statement in the tenant in force."""
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def corpus_of(ref: TenantRef) -> Corpus:
    """Counts of one tenant."""
    with in_tenant(ref):
        ((documents, failed),) = rows(
            "SELECT count(*) FILTER (WHERE status = 'ready'), count(*) FILTER (WHERE status = 'failed') FROM content_document"
        )
        ((chunks, characters),) = rows('SELECT count(*), coalesce(sum("end" - start), 0) FROM content_chunk')
        ((embedded,),) = rows("SELECT count(*) FROM intelligence_embedding")
        run = rows(
            """SELECT r.total, count(*) FILTER (WHERE d.status = 'failed'),
              extract(epoch FROM r.finished_at - r.created_at)::float8
            FROM content_ingestrun r JOIN content_document d ON d.run_id = r.id
            WHERE r.finished_at IS NOT NULL GROUP BY r.id ORDER BY r.total DESC LIMIT 1"""
        )
    total, run_failed, seconds = run[0] if run else (0, 0, None)
    return Corpus(documents, failed, chunks, embedded, characters, total, run_failed, seconds)


def describe(ref: TenantRef) -> dict[str, Any]:
    """Machine, versions, corpus and options: what a figure means nothing without."""
    with in_tenant(ref):
        ((server, pgvector),) = rows(
            "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
        )
    corpus = corpus_of(ref)
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {
        "machine": {
            "cpu": cpu,
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "load_average_at_start": os.getloadavg(),
        },
        "versions": {
            "python": platform.python_version(),
            "postgresql": server,
            "pgvector extension": pgvector,
            **{name: _version(name) for name in PACKAGES},
        },
        "vector_index": asdict(vectors.status()),
        "corpus": asdict(corpus) | {"documents_per_s": corpus.documents_per_s},
        "retrieval": _tuning(),
    }


@contextmanager
def api_keys(ref: TenantRef, count: int) -> Iterator[list[str]]:
    """New keys of the tenant, revoked at the end: the rate limit counts per key, and stays on."""
    made: list[tuple[ApiKey, str]] = []
    try:
        with in_tenant(ref):
            made.extend(create_api_key(f"benchmark {number + 1}", role="viewer") for number in range(count))
        yield [plain for _, plain in made]
    finally:
        with in_tenant(ref):
            for key, _ in made:
                revoke_api_key(key.id)


def measured_tenant(slug: str) -> TenantRef:
    """The tenant that holds the corpus. Raises UnknownTenant."""
    return tenant_by_slug(slug)


def write_report(path: Path, report: dict[str, Any]) -> None:
    """One JSON document; dataclasses become objects."""

    def plain(value: Any) -> Any:
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)

    path.write_text(json.dumps(report, indent=1, default=plain, ensure_ascii=False) + "\n")


def _tuning() -> dict[str, Any]:
    options = retrieval_settings()
    names = ("text_candidates", "vector_candidates", "weights")
    return {name: getattr(options, name) for name in names} | {"match_budget": MATCH_BUDGET, "df_ttl_s": DF_TTL_S}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
