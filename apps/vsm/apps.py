from django.apps import AppConfig


class VsmConfig(AppConfig):
    """The viable system: what happens is watched, analysed, decided on and acted upon."""

    name = "apps.vsm"
    verbose_name = "Viable system"
