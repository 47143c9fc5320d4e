from importlib import import_module

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """The edge: one ASGI application, authentication, streams, health, limits, the API's description."""

    name = "apps.gateway"
    verbose_name = "Gateway"

    def ready(self) -> None:
        import_module("apps.core.api.schema")  # drf-spectacular finds extensions by their import
