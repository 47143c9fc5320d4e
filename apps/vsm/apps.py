from django.apps import AppConfig


class VsmConfig(AppConfig):
    """The viable system: what happens is watched, analysed, decided on and acted upon."""

    name = "apps.vsm"
    verbose_name = "Viable system"

    def ready(self) -> None:
        from apps.tenants.services import on_tenant_created  # noqa: PLC0415  # models exist only from here on
        from apps.vsm.services import seed_tenant  # noqa: PLC0415

        on_tenant_created(seed_tenant)
