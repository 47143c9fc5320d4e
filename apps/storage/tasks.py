from apps.core.jobs import job
from apps.core.schedules import every
from apps.storage import services


@every(3600, "storage.sweep")
@job("storage.sweep", queue="storage", timeout_s=300, attempts=3)
def sweep() -> None:
    """Safe to run twice: it removes only what no row needs."""
    services.sweep()
