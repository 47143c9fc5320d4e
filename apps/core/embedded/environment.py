"""The variables every process of the platform gets, and the files that hand them to another terminal."""

import json
import os
import shlex
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from apps.core.embedded import roles
from apps.core.embedded.credentials import Credentials, write_private
from apps.core.embedded.paths import DataDir
from apps.core.embedded.postgres import Postgres
from apps.core.embedded.valkey import Valkey


def embedded_database(postgres: Postgres, credentials: Credentials) -> dict[str, str]:
    return {
        "DATABASE_OWNER_URL": postgres.url(roles.OWNER, credentials.owner_password),
        "DATABASE_APP_URL": postgres.url(roles.APP, credentials.app_password),
        "DATABASE_SYSTEM_URL": postgres.url(roles.SYSTEM, credentials.system_password),
    }


def outside_database(admin_url: str, credentials: Credentials) -> dict[str, str]:
    """The same three roles on the server and database of `admin_url`."""
    return {
        "DATABASE_OWNER_URL": _login(admin_url, roles.OWNER, credentials.owner_password),
        "DATABASE_APP_URL": _login(admin_url, roles.APP, credentials.app_password),
        "DATABASE_SYSTEM_URL": _login(admin_url, roles.SYSTEM, credentials.system_password),
    }


def _login(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def embedded_valkey(valkey: Valkey) -> dict[str, str]:
    return {"REDIS_URL": valkey.cache_url, "CELERY_BROKER_URL": valkey.broker_url}


def installation(files: DataDir, credentials: Credentials, *, port: int) -> dict[str, str]:
    return {
        "CYBERNETIC_DATA_DIR": str(files.root),
        "CYBERNETIC_RUN_DIR": str(files.run),
        "CYBERNETIC_SECRET_KEY": os.environ.get("CYBERNETIC_SECRET_KEY") or credentials.secret_key,
        "CYBERNETIC_PORT": str(port),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE") or "cybernetic.settings.dev",
    }


def write(files: DataDir, variables: dict[str, str]) -> None:
    """Leave the variables for other terminals: env.json for manage.py, env for `. var/env` in a shell. Both 0600."""
    write_private(files.env_json, json.dumps(variables, indent=1))
    write_private(
        files.env_shell, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    )


def remove(files: DataDir) -> None:
    for path in (files.env_json, files.env_shell):
        Path(path).unlink(missing_ok=True)
