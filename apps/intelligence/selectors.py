"""Reads of embeddings."""

from collections.abc import Sequence

from apps.intelligence.models import Embedding


def labels_present(labels: Sequence[int]) -> frozenset[int]:
    """Which of these labels have a vector."""
    return frozenset(Embedding.objects.filter(label__in=labels).values_list("label", flat=True))
