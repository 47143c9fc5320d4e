"""Which processes make up the platform, in which stage each starts and stops."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from apps.core.embedded.paths import REPOSITORY, DataDir
from apps.core.embedded.postgres import STOP_SIGNAL as POSTGRES_STOP
from apps.core.embedded.postgres import Postgres, server_environment
from apps.core.embedded.supervisor import Service
from apps.core.embedded.valkey import STOP_SIGNAL as VALKEY_STOP
from apps.core.embedded.valkey import Valkey

DATABASE_STAGE, CACHE_STAGE, PLATFORM_STAGE = 0, 1, 2
# Threads per queue. Work waiting in the database is what is limited here, not memory: an idle thread costs nothing.
QUEUE_THREADS = {"default": 10, "critical": 20, "analysis": 5, "notifications": 5, "storage": 3}
_DROPPED = frozenset(
    {"PYTHONDONTWRITEBYTECODE", "DATABASE_URL", "CYBERNETIC_DB_ROLE", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
)


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with the platform's variables over it."""
    inherited = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**inherited, **variables, "PYTHONUNBUFFERED": "1"}


def postgres_service(postgres: Postgres) -> Service:
    return Service(
        name="postgres",
        argv=tuple(postgres.argv()),
        environment=server_environment(),
        log=postgres.log,
        stage=DATABASE_STAGE,
        stop_signal=POSTGRES_STOP,
        grace_s=60.0,
        setup=postgres.child_setup(),
    )


def valkey_service(valkey: Valkey) -> Service:
    return Service(
        name="valkey",
        argv=tuple(valkey.argv()),
        environment=server_environment(),
        log=valkey.log,
        stage=CACHE_STAGE,
        stop_signal=VALKEY_STOP,
        setup=valkey.child_setup(),
        before=valkey.prepare,
    )


def platform_services(files: DataDir, environment: Mapping[str, str], *, host: str, port: int) -> list[Service]:
    """Web, relay, index owner, beat and one worker per queue."""
    manage = (sys.executable, str(REPOSITORY / "manage.py"))
    celery = (sys.executable, "-m", "celery", "-A", "cybernetic.celery")
    web = (
        *(sys.executable, "-m", "uvicorn", "cybernetic.asgi:application", "--host", host, "--port", str(port)),
        *(
            "--lifespan",
            "on",
            "--timeout-graceful-shutdown",
            "10",
            "--no-access-log",
            "--no-server-header",
            "--no-proxy-headers",
        ),
    )
    schedule = files.root / "beat" / "schedule"
    schedule.parent.mkdir(mode=0o700, exist_ok=True)
    commands: dict[str, tuple[str, ...]] = {
        "web": web,
        "index": (*manage, "index_owner"),
        "relay": (*manage, "relay"),
        "beat": (*celery, "beat", "--schedule", str(schedule), "--pidfile", ""),
    }
    for queue, threads in QUEUE_THREADS.items():
        commands[f"worker-{queue}"] = (
            *(
                *celery,
                "worker",
                "-P",
                "threads",
                "-c",
                str(threads),
                "-Q",
                f"cybernetic.{queue}",
                "-n",
                f"{queue}@%h",
                "--loglevel",
                "INFO",
            ),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )
    return [
        Service(name, argv, environment, log_of(files, name), PLATFORM_STAGE, cwd=REPOSITORY)
        for name, argv in commands.items()
    ]


def log_of(files: DataDir, name: str) -> Path:
    return files.logs / f"{name}.log"
