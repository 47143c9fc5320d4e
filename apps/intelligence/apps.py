from django.apps import AppConfig

from apps.intelligence.adapters.minilm import MiniLM
from apps.intelligence.conf import BUNDLED_MODEL
from apps.intelligence.ports import register_embedder


class IntelligenceConfig(AppConfig):
    """Vectors of text: the embedder, the table that holds them, and the index that finds them."""

    name = "apps.intelligence"
    verbose_name = "Intelligence"

    def ready(self) -> None:
        register_embedder(BUNDLED_MODEL, lambda _: MiniLM())
