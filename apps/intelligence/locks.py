"""Row locks of embeddings, taken in the order of their labels."""

from collections.abc import Sequence

from django.db import connections

from apps.core.tenancy import alias_in_force


def hold_embeddings(labels: Sequence[int]) -> set[int]:
    """Keep these embeddings from being deleted until the transaction ends; returns the ones that are there.

    Holders do not wait for each other. Call it in the transaction that stores references to the labels, and embed
    again what is missing.
    """
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(
            "SELECT label FROM intelligence_embedding WHERE label = ANY(%s) ORDER BY label FOR KEY SHARE",
            [list(labels)],
        )
        return {row[0] for row in cursor.fetchall()}


def lock_embeddings(labels: Sequence[int]) -> dict[int, str]:
    """Lock these embeddings for deletion, waiting for holders; returns label -> model id of the ones that are there."""
    with connections[alias_in_force()].cursor() as cursor:
        cursor.execute(
            "SELECT label, model_id FROM intelligence_embedding WHERE label = ANY(%s) ORDER BY label FOR UPDATE",
            [list(labels)],
        )
        return dict(cursor.fetchall())
