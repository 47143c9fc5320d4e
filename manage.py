#!/usr/bin/env python
"""Django's command line. Beside a running `make up` it attaches to those servers by itself."""

import os
import sys

from apps.core.embedded.attach import attach_env


def main() -> None:
    attach_env()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415  # settings must be named first
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}\nIs the platform running? `make up` starts it; commands then find it by themselves.")


if __name__ == "__main__":
    main()
