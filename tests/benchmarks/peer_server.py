"""Peers for latency: the searches a Django project writes with django.contrib.postgres, on the same rows and servers.

SearchQuery, SearchRank(cover_density) and SearchHeadline over the same chunks, the same number of documents out,
through the same uvicorn, WSGI bridge, thread count and connection pool: `/all-words` with search_type="websearch",
`/any-word` with the words joined by `|`. They have no keys, no rate limit, no facets, no filters and no vectors, which
favours them.

    python -m tests.benchmarks.peer_server PORT   # PEER_DATABASE_URL, PEER_TENANT_ID and PEER_SCHEMA in the environment
"""

import json
import os
import re
import sys
from typing import ClassVar

import django
import uvicorn
from a2wsgi import WSGIMiddleware
from django.conf import settings

from cybernetic.settings import env

THREADS, POOL = 16, 10
CHUNKS = 50

DATABASE = env.database("PEER_DATABASE_URL") | {"ENGINE": "django.db.backends.postgresql"}
DATABASE["OPTIONS"] |= {
    "options": f"-c app.tenant={os.environ['PEER_TENANT_ID']} -c search_path={os.environ['PEER_SCHEMA']},public",
    "pool": {"min_size": 0, "max_size": POOL, "timeout": 10},
}
settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": DATABASE},
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(16).hex(),
    INSTALLED_APPS=["django.contrib.postgres"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.postgres.search import (  # noqa: E402  # settings come first
    SearchHeadline,
    SearchQuery,
    SearchRank,
    SearchVectorField,
)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402


class PeerChunk(models.Model):
    """The platform's chunks, read only."""

    blob_id = models.UUIDField()
    title = models.TextField()
    text = models.TextField()
    tsv = SearchVectorField()
    objects: ClassVar[models.Manager["PeerChunk"]] = models.Manager()

    class Meta:
        app_label = "peer"
        managed = False
        db_table = "content_chunk"

    def __str__(self) -> str:
        return self.title


def all_words(request: HttpRequest) -> JsonResponse:
    """Chunks that hold every word."""
    asked = json.loads(request.body)
    return _answer(SearchQuery(asked["query"], config="english", search_type="websearch"), asked["limit"])


def any_word(request: HttpRequest) -> JsonResponse:
    """Chunks that hold any word."""
    asked = json.loads(request.body)
    words = " | ".join(re.findall(r"\w+", asked["query"]))
    return _answer(SearchQuery(words, config="english", search_type="raw"), asked["limit"])


def _answer(query: SearchQuery, limit: int) -> JsonResponse:
    ranked = (
        PeerChunk.objects.filter(tsv=query)
        .annotate(rank=SearchRank("tsv", query, cover_density=True))
        .order_by("-rank", "id")
        .values_list("id", "blob_id", "rank")[:CHUNKS]
    )
    best: dict[object, int] = {}
    for chunk_id, blob_id, _ in ranked:
        best.setdefault(blob_id, chunk_id)
    chosen = list(best.values())[:limit]
    shown = {
        chunk.pk: chunk
        for chunk in PeerChunk.objects.filter(pk__in=chosen).annotate(
            headline=SearchHeadline("text", query, config="english")
        )
    }
    return JsonResponse(
        {
            "results": [
                {"title": shown[pk].title, "text": shown[pk].text, "headline": shown[pk].headline}
                for pk in chosen
                if pk in shown
            ]
        }
    )


urlpatterns = [path("all-words", all_words), path("any-word", any_word)]

if __name__ == "__main__":
    uvicorn.run(
        WSGIMiddleware(get_wsgi_application(), workers=THREADS),  # type: ignore[arg-type]  # a2wsgi has types of its own
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
    )
