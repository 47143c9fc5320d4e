from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class CoreConfig(AppConfig):
    """Mechanisms without a domain: tenancy, events, jobs, egress, embedded servers."""

    name = "apps.core"
    verbose_name = "Core"

    def ready(self) -> None:
        autodiscover_modules("events", "tasks", "subscribers")
