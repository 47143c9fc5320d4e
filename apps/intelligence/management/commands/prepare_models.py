"""Make the bundled embedding model ready for this machine: `manage.py prepare_models`."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.intelligence.adapters import minilm
from apps.intelligence.errors import ModelMissing


class Command(BaseCommand):
    help = "Prepare the bundled embedding model once (about two seconds); repeated runs only report."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        try:
            made = minilm.prepare(lambda step: self.stdout.write(f"Embedding model: {step} ..."))
        except ModelMissing as error:
            raise CommandError(error.detail) from error
        self.stdout.write(f"Embedding model ready in {time.monotonic() - started:.1f} s: {made.detail}")
