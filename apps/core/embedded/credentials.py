"""Passwords and keys of one installation: made once, kept in data_dir/secrets.json (0600), never in a process list."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from apps.core.embedded.errors import StartFailed


@dataclass(frozen=True, repr=False)
class Credentials:
    """All generated secrets. The admin is the embedded server's superuser: it only bootstraps."""

    admin_password: str
    owner_password: str
    app_password: str
    system_password: str
    secret_key: str
    demo_password: str


def load_or_create(path: Path, *, cluster_exists: bool) -> Credentials:
    """Read the secrets, making any that is missing.

    Raises StartFailed when the file is broken, or gone while a database made with it still exists.
    """
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        if cluster_exists:
            raise StartFailed(
                f"{path} is missing but its database exists: restore that file, or `make reset` to start over."
            ) from None
        stored = {}
    except PermissionError:
        raise StartFailed(
            f"{path} belongs to another user: run as that user or set CYBERNETIC_DATA_DIR to your own folder."
        ) from None
    except ValueError:
        raise StartFailed(f"{path} is damaged: restore that file, or `make reset` to start over.") from None
    if not isinstance(stored, dict):
        raise StartFailed(f"{path} is damaged: restore that file, or `make reset` to start over.")
    values = {field.name: str(stored.get(field.name) or _generate(field.name)) for field in fields(Credentials)}
    credentials = Credentials(**values)
    if asdict(credentials) != stored:
        write_private(path, json.dumps(asdict(credentials), indent=1))
    return credentials


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically with mode 0600; after a crash the old or the new text is there, never a part."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _generate(name: str) -> str:
    if name == "demo_password":
        return secrets.token_urlsafe(9)
    return secrets.token_urlsafe(48 if name == "secret_key" else 24)
