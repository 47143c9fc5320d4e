"""Row locks of the loop. Order: episode before decision before intervention."""

from uuid import UUID

from django.db import connection

from apps.core.tenancy import current_tenant
from apps.vsm.errors import EpisodeNotFound
from apps.vsm.models import Episode


def lock_episode(episode_id: UUID) -> Episode:
    """The episode, held until the transaction ends. Raises EpisodeNotFound."""
    episode = Episode.objects.select_for_update(of=("self",)).select_related("rule").filter(pk=episode_id).first()
    if episode is None:
        raise EpisodeNotFound(f"There is no episode {episode_id}.")
    return episode


def lock_policy_name(name: str) -> None:
    """One writer at a time per policy name of a tenant, until the transaction ends: versions have no gaps or twins."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"vsm.policy:{current_tenant().id}:{name}"]
        )
