from django.apps import AppConfig
from django.utils.module_loading import import_string


class VsmConfig(AppConfig):
    """The viable system: what happens is watched, analysed, decided on and acted upon."""

    name = "apps.vsm"
    verbose_name = "Viable system"

    def ready(self) -> None:
        on_tenant_created = import_string("apps.tenants.services.on_tenant_created")
        on_tenant_created(import_string("apps.vsm.services.seed_tenant"))
