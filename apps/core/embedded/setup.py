"""The commands that bring a database up to the code: run once per change, skipped when nothing changed."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from apps.core.embedded.children import child_setup
from apps.core.embedded.console import Step
from apps.core.embedded.credentials import write_private
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.leftovers import RUN_MARK
from apps.core.embedded.logs import last_line, open_log
from apps.core.embedded.paths import REPOSITORY, DataDir

_SOURCES = ("apps", "cybernetic", "docs", "static", "templates", "requirements", "README.md", "manage.py")


@dataclass(frozen=True)
class Login:
    """Where the demo answers and who may enter."""

    url: str
    email: str
    password: str


def fingerprint(secret: str) -> str:
    """Changes whenever the code, the bundled documentation or `secret` changes. Reads sizes and times, not contents."""
    digest = hashlib.sha256(secret.encode())
    for name in _SOURCES:
        top = REPOSITORY / name
        files = sorted(path for path in top.rglob("*") if "__pycache__" not in path.parts) if top.is_dir() else [top]
        for path in files:
            if path.is_file():
                found = path.stat()
                digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def remembered(files: DataDir, wanted: str) -> Login | None:
    """The login of a setup already done for exactly this fingerprint."""
    try:
        stored = json.loads(files.setup_stamp.read_text())
        return Login(**stored["login"]) if stored["fingerprint"] == wanted else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(files: DataDir, wanted: str, login: Login) -> None:
    write_private(files.setup_stamp, json.dumps({"fingerprint": wanted, "login": vars(login)}))


async def manage(
    files: DataDir,
    environment: Mapping[str, str],
    run_id: str,
    *arguments: str,
    tell: Callable[[str], None],
    role: str = "app",
) -> str:
    """Run one management command in the database role `role` and return its standard output.

    Raises StartFailed with the last line it wrote. Cancelling ends the command and everything it started.
    """
    log = files.logs / "setup.log"
    start = log.stat().st_size if log.exists() else 0
    descriptor = open_log(log)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(REPOSITORY / "manage.py"), *arguments,
            cwd=REPOSITORY, env={**environment, "CYBERNETIC_DB_ROLE": role, RUN_MARK: run_id},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=descriptor,
            start_new_session=True, preexec_fn=child_setup(signal.SIGTERM),
        )  # fmt: skip
    finally:
        os.close(descriptor)
    output = asyncio.create_task(process.communicate())
    try:
        while not output.done():
            await asyncio.wait({output}, timeout=0.5)
            tell(last_line(log, start=start)[:80])
        printed, _ = await output
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            output.cancel()
    if process.returncode != 0:
        said = last_line(log, start=start) or "it wrote no message"
        raise StartFailed(f"`manage.py {arguments[0]}` failed: {said} (whole log: {log}).")
    return printed.decode()


async def run_setup(
    files: DataDir, environment: Mapping[str, str], run_id: str, step: Callable[[str], AbstractContextManager[Step]]
) -> Login:
    """Migrate, collect static files, and create the demo tenant with its documentation queued for ingestion."""
    with step("Database migrations") as shown:
        await manage(files, environment, run_id, "migrate_all", tell=shown.tell, role="owner")
    with step("Static files") as shown:
        await manage(files, environment, run_id, "collectstatic", "--noinput", "--verbosity", "0", tell=shown.tell)
    with step("Embedding model") as shown:
        await manage(files, environment, run_id, "prepare_models", tell=shown.tell)
    with step("Demo tenant and documentation") as shown:
        printed = await manage(files, environment, run_id, "setup_demo", "--print", tell=shown.tell)
    try:
        said = json.loads(printed.strip().splitlines()[-1])
        return Login(str(said["url"]), str(said["email"]), str(said["password"]))
    except (ValueError, KeyError, IndexError) as error:
        raise StartFailed(
            f"`manage.py setup_demo --print` did not say how to log in: {printed.strip()[-200:]!r}."
        ) from error
