from django.apps import AppConfig
from django.utils.module_loading import import_string


class ContentConfig(AppConfig):
    """Ingest, containers, search, chat."""

    name = "apps.content"
    verbose_name = "Content"

    def ready(self) -> None:
        # Models exist only now, and these modules need them.
        ports = "apps.vsm.ports"
        here = "apps.content.adapters.viable_system"
        import_string(f"{ports}.register_intervention")(import_string(f"{here}.PauseSource")())
        import_string(f"{ports}.register_operations_probe")(import_string(f"{here}.ContentOperations")())
        import_string(f"{ports}.register_audit_probe")(import_string(f"{here}.IndexedContent")())
