"""`python -m apps.core.embedded.throwaway COMMAND...`: run one command beside servers that live only as long as it does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from apps.core.embedded.console import Talk
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.servers import EmbeddedServers


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="cyb-") as folder:
        try:
            with EmbeddedServers(Path(folder) / "data", durable=False) as environment:
                return subprocess.run(
                    sys.argv[1:], env={**environment, **os.environ, **_own(environment)}, check=False
                ).returncode
        except StartFailed as error:
            Talk().error(str(error))
            return 1


def _own(environment: dict[str, str]) -> dict[str, str]:
    """The servers are this command's whatever the caller has set; the settings module stays the caller's."""
    return {name: value for name, value in environment.items() if name != "DJANGO_SETTINGS_MODULE"}


if __name__ == "__main__":
    sys.exit(main())
