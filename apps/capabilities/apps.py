from django.apps import AppConfig

from apps.capabilities.llm.embedder import register


class CapabilitiesConfig(AppConfig):
    """What the platform can do with outside models: the one door to providers, and the cache around it."""

    name = "apps.capabilities"
    verbose_name = "Capabilities"

    def ready(self) -> None:
        register()
