"""`manage.py relay`: the process that moves events and jobs on."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.core.relay import Relay


class Command(BaseCommand):
    help = "Number events, run their subscribers, hand jobs to the broker, rescue orphans. Runs until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        relay = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.stop())
        relay.run()
