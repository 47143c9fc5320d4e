"""Keeps a set of processes running: staged start and stop, restarts with backoff, no grandchild left behind."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from apps.core.embedded.children import child_setup
from apps.core.embedded.leftovers import RUN_MARK, Started, record
from apps.core.embedded.logs import last_line, open_log, trim

_BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 30.0
_STORM_RESTARTS = 3
_HOUSEKEEPING_S = 60.0
_HURRY_GRACE_S = 2.0


@dataclass(frozen=True)
class Service:
    """One supervised process. Stages stop from the highest number down."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    stage: int
    cwd: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 20.0
    setup: Callable[[], None] | None = None
    before: Callable[[], None] | None = None


@dataclass
class _Kept:
    service: Service
    process: asyncio.subprocess.Process | None = None
    exits: int = 0
    log_start: int = 0
    task: asyncio.Task[None] | None = None
    recent: list[float] = field(default_factory=list)


class Supervisor:
    """Runs services until stopped, all from the main thread: the kernel ties children to their spawning thread."""

    def __init__(self, state: Path, run_id: str, report: Callable[[str], None]) -> None:
        self._state = state
        self._run_id = run_id
        self._report = report
        self._kept: dict[str, _Kept] = {}
        self._started: dict[str, Started] = {}
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self.announce_exits = True

    def start(self, service: Service) -> None:
        kept = self._kept[service.name] = _Kept(service)
        kept.task = asyncio.create_task(self._keep(kept), name=service.name)

    def exits(self, name: str) -> int:
        """How often it has ended by itself so far."""
        return self._kept[name].exits

    def log_start(self, name: str) -> int:
        """The size of its log before its latest start."""
        return self._kept[name].log_start

    def hurry(self) -> None:
        """Cut every grace short: somebody asked twice."""
        self._hurried.set()

    async def stop(self) -> None:
        """Stop stage by stage; returns when no process is left."""
        self._stopping.set()
        for stage in sorted({kept.service.stage for kept in self._kept.values()}, reverse=True):
            await asyncio.gather(*(self._stop_one(kept) for kept in self._kept.values() if kept.service.stage == stage))
        self._state.unlink(missing_ok=True)

    async def housekeeping(self) -> None:
        """Keep the logs small, and the sockets fresh for folder cleaners, while everything runs."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            for kept in self._kept.values():
                trim(kept.service.log)

    async def _keep(self, kept: _Kept) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once(kept)
            if self._stopping.is_set():
                return
            kept.exits += 1
            failures = 0 if time.monotonic() - began > _STEADY_S else failures + 1
            delay = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            self._tell(kept, code, delay)
            await asyncio.sleep(delay)

    async def _run_once(self, kept: _Kept) -> int:
        service = kept.service
        kept.log_start = service.log.stat().st_size if service.log.exists() else 0
        try:
            if service.before is not None:
                service.before()
            descriptor = open_log(service.log)
            try:
                process = await asyncio.create_subprocess_exec(
                    *service.argv,
                    cwd=service.cwd,
                    env={**service.environment, RUN_MARK: self._run_id},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=descriptor,
                    stderr=descriptor,
                    start_new_session=True,
                    preexec_fn=service.setup or child_setup(signal.SIGTERM),
                )
            finally:
                os.close(descriptor)
        except OSError as error:
            self._report(f"{service.name} could not be started: {error}")
            return 127
        kept.process = process
        self._note(service, process.pid)
        try:
            return await process.wait()
        finally:
            kept.process = None
            _kill_group(process.pid)
            self._started.pop(service.name, None)

    def _note(self, service: Service, pid: int) -> None:
        try:
            born = psutil.Process(pid).create_time()
        except psutil.Error:
            return
        self._started[service.name] = Started(service.name, pid, born, int(service.stop_signal))
        record(self._state, self._run_id, list(self._started.values()))

    def _tell(self, kept: _Kept, code: int, delay: float) -> None:
        now = time.monotonic()
        kept.recent = [moment for moment in kept.recent if now - moment < 2 * _HOUSEKEEPING_S] + [now]
        if not self.announce_exits:
            return
        name, log = kept.service.name, kept.service.log
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if len(kept.recent) < _STORM_RESTARTS:
            self._report(f"{name} {ended}; restarting it.")
        else:
            said = last_line(log, start=kept.log_start) or "it wrote no message"
            self._report(
                f"{name} keeps ending ({len(kept.recent)} times in two minutes): {said} (next try in {delay:.0f} s, log: {log})"
            )

    async def _stop_one(self, kept: _Kept) -> None:
        process, task = kept.process, kept.task
        if task is None:
            return
        if process is None:
            task.cancel()  # between two lives, waiting to be restarted
        else:
            _signal(process, kept.service.stop_signal)
            if not await self._ended(task, kept.service.grace_s):
                _kill_group(process.pid)
        await asyncio.gather(task, return_exceptions=True)

    async def _ended(self, task: asyncio.Task[None], grace_s: float) -> bool:
        """Whether the task finishes within its grace, or shortly after somebody hurries."""
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            done, _ = await asyncio.wait({task, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            if task not in done and hurried in done:
                done, _ = await asyncio.wait({task}, timeout=_HURRY_GRACE_S)
            return task in done
        finally:
            hurried.cancel()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it (macOS says PermissionError for a group of zombies)
