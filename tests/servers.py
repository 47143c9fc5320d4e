"""The suite's own PostgreSQL and Valkey: a pytest plugin, because settings are read before conftest.py is."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from apps.core.embedded.servers import EmbeddedServers

ROOT = Path(__file__).resolve().parent.parent


class SuiteServers:
    """Starts the servers once, migrates as the owner, and throws everything away at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cyb-"))
        self.servers = EmbeddedServers(self.folder / "data", durable=False)

    def start(self) -> None:
        os.environ.update(self.servers.start())
        os.environ["DJANGO_SETTINGS_MODULE"] = "cybernetic.settings.test"
        os.environ["EGRESS_ALLOW_CIDRS"] = ""
        (self.folder / "data" / "static").mkdir(exist_ok=True)
        migration = subprocess.run(
            [sys.executable, "manage.py", "migrate_all"],
            cwd=ROOT,
            env=os.environ | {"CYBERNETIC_DB_ROLE": "owner"},
            capture_output=True,
            text=True,
            check=False,
        )
        if migration.returncode:
            self.stop()
            pytest.exit(f"the test database could not be migrated:\n{migration.stderr[-3000:]}", returncode=3)

    def stop(self) -> None:
        self.servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


_suite: list[SuiteServers] = []


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    if not _suite and "--collect-only" not in args:
        _suite.append(SuiteServers())
        _suite[0].start()


def pytest_unconfigure() -> None:
    while _suite:
        _suite.pop().stop()
