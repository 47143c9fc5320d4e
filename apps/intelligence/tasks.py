from apps.core.jobs import job
from apps.core.schedules import every
from apps.intelligence import services


@every(3600, "intelligence.prune_tombstones")
@job("intelligence.prune_tombstones", queue="storage", timeout_s=120, attempts=3)
def prune_tombstones() -> None:
    """Safe to run twice."""
    services.prune_tombstones()
