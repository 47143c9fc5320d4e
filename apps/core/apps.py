from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules, import_string


class CoreConfig(AppConfig):
    """Mechanisms without a domain: tenancy, events, jobs, egress, embedded servers."""

    name = "apps.core"
    verbose_name = "Core"

    def ready(self) -> None:
        autodiscover_modules("events", "tasks", "subscribers")
        core = import_string("apps.core.conf.core_settings")()
        # After the tasks, whose schedules beat needs.
        import_string("apps.core.jobs.broker.configure_celery")(broker_url=core.broker_url, data_dir=core.data_dir)
