"""What a killed supervisor may leave behind: found by pid and start time, or by the run's own mark, and ended."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from apps.core.embedded.credentials import write_private
from apps.core.embedded.lock import process_of

RUN_MARK = "CYBERNETIC_RUN_ID"
_POLITE_S = 5.0


@dataclass(frozen=True)
class Started:
    """One child as it was started. `stop_signal` ends it cleanly."""

    name: str
    pid: int
    started: float
    stop_signal: int


def record(path: Path, run_id: str, children: list[Started]) -> None:
    write_private(path, json.dumps({"run_id": run_id, "children": [vars(child) for child in children]}))


def end_leftovers(path: Path) -> int:
    """End every process of the run recorded in `path`, politely first; the number ended. The caller holds the lock."""
    try:
        stored = json.loads(path.read_text())
        children = [Started(**entry) for entry in stored["children"]]
        run_id = str(stored["run_id"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0
    found: dict[int, tuple[psutil.Process, int]] = {}
    for child in children:
        process = process_of(child.pid, child.started)
        if process is not None:
            found[child.pid] = (process, child.stop_signal)
    for process in psutil.process_iter():
        if process.pid not in found and _mark(process) == run_id:
            found[process.pid] = (process, signal.SIGTERM)
    for process, stop_signal in found.values():
        _send(process, stop_signal)
    _, alive = psutil.wait_procs([process for process, _ in found.values()], timeout=_POLITE_S)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=_POLITE_S)
    path.unlink(missing_ok=True)
    return len(found)


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(RUN_MARK)
    except (psutil.Error, OSError):
        return None


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
