"""Search in PostgreSQL itself: exact, over the truth, in the tenant in force."""

from collections.abc import Sequence

import numpy as np
from django.db import connections

from apps.core.tenancy import alias_in_force
from apps.intelligence.models import Embedding
from apps.intelligence.ports import Vectors
from apps.intelligence.vectors.base import Hit

_NEAREST = """
SELECT label, -(vector <#> %(query)s::vector) FROM intelligence_embedding
WHERE model_id = %(model)s AND (%(labels)s::bigint[] IS NULL OR label = ANY(%(labels)s::bigint[]))
ORDER BY vector <#> %(query)s::vector, label LIMIT %(k)s
"""


def to_text(vector: Vectors) -> str:
    """PostgreSQL's form of a vector, every float32 kept exactly."""
    return "[" + ",".join(map(repr, np.asarray(vector, np.float32).astype(np.float64).tolist())) + "]"


class PgvectorIndex:
    """All embeddings of one model, or the given labels among them."""

    backend = "pgvector"

    def __init__(self, model_id: str, labels: Sequence[int] | None = None) -> None:
        self._model_id = model_id
        self._labels = None if labels is None else list(labels)

    def __len__(self) -> int:
        rows = Embedding.objects.filter(model_id=self._model_id)
        return (rows if self._labels is None else rows.filter(label__in=self._labels)).count()

    def search(self, vector: Vectors, k: int) -> list[Hit]:
        parameters = {"query": to_text(vector), "model": self._model_id, "labels": self._labels, "k": k}
        with connections[alias_in_force()].cursor() as cursor:
            cursor.execute(_NEAREST, parameters)
            return [(label, float(score)) for label, score in cursor.fetchall()]
