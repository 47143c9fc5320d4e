from django.apps import AppConfig


class ContentConfig(AppConfig):
    """Ingest, containers, search, chat."""

    name = "apps.content"
    verbose_name = "Content"
