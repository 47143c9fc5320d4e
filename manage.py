#!/usr/bin/env python
"""Django's command line. Beside a running `make up` it attaches to those servers by itself."""

import os
import sys

from apps.core.embedded.attach import attach_env


def main() -> None:
    attach_env()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cybernetic.settings.dev")
    from django.core.management import execute_from_command_line  # noqa: PLC0415  # settings must be named first

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
