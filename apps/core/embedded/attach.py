"""Lets `manage.py` in another terminal reach the servers of a running `make up`.

Standard library only: it runs before anything else.
"""

import json
import os
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[3]


def attach_env() -> None:
    """Fill the variables that are not set from data_dir/env.json, which exists while `make up` runs."""
    folder = Path(os.environ.get("CYBERNETIC_DATA_DIR") or _REPOSITORY / "var")
    try:
        stored = json.loads((folder / "env.json").read_text())
    except (OSError, ValueError):
        return
    for name, value in stored.items():
        os.environ.setdefault(str(name), str(value))
