"""`python -m apps.core.embedded.up`: start everything, keep it running, stop it all on Ctrl-C."""

import asyncio
import http.client
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from apps.core.embedded import environment, plan, preflight, roles, setup
from apps.core.embedded.console import Step, Talk
from apps.core.embedded.credentials import Credentials, load_or_create
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.leftovers import end_leftovers
from apps.core.embedded.lock import DataDirLock
from apps.core.embedded.logs import last_line
from apps.core.embedded.paths import DataDir, data_dir
from apps.core.embedded.postgres import Postgres, stale_lock
from apps.core.embedded.servers import describe_servers
from apps.core.embedded.supervisor import Supervisor
from apps.core.embedded.valkey import Valkey

_SERVER_START_S = 90.0
_READY_S = 180.0
_STALE_LOCK_TRIES = 12
_WEB_TRIES = 3
_SETTLE_S = 30.0
_AWAITED = frozenset({"valkey", "broker", "processes"})


class Platform:
    """One run of the platform in one data directory, whose lock the caller holds."""

    def __init__(self, files: DataDir, talk: Talk) -> None:
        self._files = files
        self._talk = talk
        self._host, self._port = preflight.host(), preflight.port()
        self._run_id = secrets.token_hex(8)
        self._supervisor = Supervisor(files.processes, self._run_id, talk.line)
        self._stop_asked = asyncio.Event()

    async def run(self) -> None:
        """Start, serve until asked to stop, and stop. Raises StartFailed after stopping whatever had started."""
        self._listen_for_stop()
        housekeeping = asyncio.create_task(self._supervisor.housekeeping())
        try:
            if await self._unless_stopped(self._start()):
                await self._stop_asked.wait()
        finally:
            housekeeping.cancel()
            self._supervisor.announce_exits = False
            with self._talk.step("Stopping"):
                await self._supervisor.stop()
                environment.remove(self._files)
                self._files.remove_outside_run()

    def _listen_for_stop(self) -> None:
        def asked() -> None:
            if self._stop_asked.is_set():
                self._supervisor.hurry()
            self._stop_asked.set()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, asked)
        loop.add_signal_handler(signal.SIGTERM, asked)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup keeps it running
            loop.add_signal_handler(signal.SIGHUP, asked)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        task, asked = asyncio.create_task(work), asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return False
        await task
        return True

    async def _start(self) -> None:
        outside_database, outside_cache, outside_broker = (
            os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL")
        )
        with self._talk.step("Data directory") as shown:
            postgres, valkey = describe_servers(self._files)
            credentials = load_or_create(self._files.secrets, cluster_exists=postgres.exists)
            shown.detail = str(self._files.root)
        variables = environment.installation(self._files, credentials, port=self._port)
        if outside_database:
            variables |= await self._outside_database(outside_database, credentials)
        else:
            variables |= await self._embedded_database(postgres, credentials)
        if not (outside_cache and outside_broker):
            await self._embedded_cache(valkey)
            variables |= environment.embedded_valkey(valkey)
        if outside_cache:
            with self._talk.step("Cache of REDIS_URL"):
                await asyncio.to_thread(preflight.check_redis, outside_cache)
            variables["REDIS_URL"] = outside_cache
        if outside_broker:
            variables["CELERY_BROKER_URL"] = outside_broker
        environment.write(self._files, variables)
        login = await self._set_up(variables, credentials, outside=bool(outside_database))
        await self._serve(variables)
        self._greet(login)

    async def _embedded_database(self, postgres: Postgres, credentials: Credentials) -> dict[str, str]:
        with self._talk.step("PostgreSQL 18 with pgvector") as shown:
            await asyncio.to_thread(postgres.prepare, credentials.admin_password)
            self._supervisor.announce_exits = False
            self._supervisor.start(plan.postgres_service(postgres))

            def failed() -> str | None:
                start, exits = self._supervisor.log_start("postgres"), self._supervisor.exits("postgres")
                if exits and (exits > _STALE_LOCK_TRIES or not stale_lock(postgres.log, start)):
                    return postgres.why_not(start)
                return None

            await self._until(
                lambda: postgres.answers(credentials.admin_password), failed, shown.tell, _SERVER_START_S, "PostgreSQL"
            )
            self._supervisor.announce_exits = True
            passwords = roles.RolePasswords(
                credentials.owner_password, credentials.app_password, credentials.system_password
            )
            admin = postgres.url(roles.ADMIN, credentials.admin_password, "postgres")
            await asyncio.to_thread(roles.ensure_embedded_database, admin, passwords)
        return environment.embedded_database(postgres, credentials)

    async def _outside_database(self, url: str, credentials: Credentials) -> dict[str, str]:
        with self._talk.step("Database of DATABASE_URL"):
            passwords = roles.RolePasswords(
                credentials.owner_password, credentials.app_password, credentials.system_password
            )
            await asyncio.to_thread(roles.ensure_roles, url, passwords)
        return environment.outside_database(url, credentials)

    async def _embedded_cache(self, valkey: Valkey) -> None:
        with self._talk.step("Valkey 9") as shown:
            self._supervisor.announce_exits = False
            self._supervisor.start(plan.valkey_service(valkey))

            def failed() -> str | None:
                return (
                    valkey.why_not(self._supervisor.log_start("valkey")) if self._supervisor.exits("valkey") else None
                )

            await self._until(valkey.answers, failed, shown.tell, _SERVER_START_S, "Valkey")
            self._supervisor.announce_exits = True

    async def _set_up(self, variables: dict[str, str], credentials: Credentials, *, outside: bool) -> setup.Login:
        demo_password = os.environ.get("CYBERNETIC_DEMO_PASSWORD") or credentials.demo_password
        wanted = setup.fingerprint("\0".join((demo_password, str(self._port), variables["DATABASE_OWNER_URL"])))
        known = None if outside else setup.remembered(self._files, wanted)
        if known is not None:
            return known
        children = plan.child_environment(variables | {"CYBERNETIC_DEMO_PASSWORD": demo_password})
        login = await setup.run_setup(self._files, children, self._run_id, self._talk.step)
        setup.remember(self._files, wanted, login)
        return login

    async def _serve(self, variables: dict[str, str]) -> None:
        children = plan.child_environment(variables)
        services = plan.platform_services(self._files, children, host=self._host, port=self._port)
        with self._talk.step(f"Web, relay, index, beat and {len(plan.QUEUE_THREADS)} workers") as shown:
            for service in services:
                self._supervisor.start(service)

            def failed() -> str | None:
                if self._supervisor.exits("web") < _WEB_TRIES:
                    return None
                log = plan.log_of(self._files, "web")
                return f"The web server does not start: {last_line(log) or 'it wrote no message'} (whole log: {log})."

            await self._until(lambda: self._failing() is not None, failed, shown.tell, _READY_S, "The web server")
            shown.detail = await self._settle(shown)

    async def _settle(self, shown: Step) -> str:
        """Wait a while for every process to report in; what is still missing then, for the step's line."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _SETTLE_S
        while loop.time() < deadline:
            failing = await asyncio.to_thread(self._failing)
            missing = sorted(_AWAITED & failing) if failing is not None else ["web"]
            if not missing:
                return ""
            shown.tell(f"waiting for {', '.join(missing)}")
            await asyncio.sleep(0.3)
        return f"degraded: {', '.join(missing)}; see /health/ready"

    def _failing(self) -> frozenset[str] | None:
        """What /health/ready calls failing; None while the platform is not ready at all."""
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104  # what to ask, not to bind
        connection = http.client.HTTPConnection(address, self._port, timeout=10)
        try:
            connection.request("GET", "/health/ready", headers={"Host": f"localhost:{self._port}"})
            response = connection.getresponse()
            return frozenset(json.loads(response.read())["failing"]) if response.status == http.client.OK else None
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return None
        finally:
            connection.close()

    async def _until(
        self,
        ready: Callable[[], bool],
        failed: Callable[[], str | None],
        tell: Callable[[str], None],
        timeout_s: float,
        what: str,
    ) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not await asyncio.to_thread(ready):
            why = failed()
            if why is not None:
                raise StartFailed(why)
            if loop.time() > deadline:
                raise StartFailed(f"{what} did not answer within {timeout_s:.0f} s: look into {self._files.logs}.")
            tell("waiting")
            await asyncio.sleep(0.1)

    def _greet(self, login: setup.Login) -> None:
        for text in (
            "",
            f"Cybernetic runs at {login.url}",
            f"  user      {login.email}",
            f"  password  {login.password}",
            f"  logs      {self._files.logs}",
            "Ctrl-C stops it, or `make down` from another terminal.",
        ):
            self._talk.line(text, style="bold green" if text.startswith("Cybernetic") else None)


def main() -> int:
    talk, files = Talk(), data_dir()
    try:
        preflight.check_disk(files.root)
        files.create()
        with DataDirLock(files.lock):
            ended = end_leftovers(files.processes)
            if ended:
                talk.line(f"  ok  Ended {ended} processes that an earlier run had left behind")
            preflight.check_port(preflight.host(), preflight.port())
            asyncio.run(_run(files, talk))
    except StartFailed as error:
        talk.error(str(error))
        return 1
    except OSError as error:
        talk.error(f"The data directory {files.root} cannot be used ({error}): repair it, or set CYBERNETIC_DATA_DIR.")
        return 1
    return 0


async def _run(files: DataDir, talk: Talk) -> None:
    await Platform(files, talk).run()


if __name__ == "__main__":
    sys.exit(main())
