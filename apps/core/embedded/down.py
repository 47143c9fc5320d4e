"""`python -m apps.core.embedded.down`: stop a running platform from another terminal."""

import signal
import sys
import time

import psutil

from apps.core.embedded import environment
from apps.core.embedded.console import Talk
from apps.core.embedded.errors import StartFailed
from apps.core.embedded.leftovers import end_leftovers
from apps.core.embedded.lock import DataDirLock, holder
from apps.core.embedded.paths import DataDir, data_dir

_STOP_S = 120.0


def stop_running(files: DataDir, talk: Talk) -> None:
    """Ask the process that holds the data directory to stop, and wait for it; end what a killed one left behind.

    Raises StartFailed when it does not stop.
    """
    found = holder(files.lock)
    process = found.process() if found else None
    if found and process is None:
        raise StartFailed(f"{files.root} is in use, but its lock does not say by which process: stop that by hand.")
    if process is not None:
        with talk.step(f"Stopping process {process.pid}") as shown:
            try:
                process.send_signal(signal.SIGTERM)
            except psutil.AccessDenied:
                raise StartFailed(f"Process {process.pid} belongs to another user: run this as that user.") from None
            deadline = time.monotonic() + _STOP_S
            while holder(files.lock) is not None:
                if time.monotonic() > deadline:
                    raise StartFailed(f"Process {process.pid} did not stop within {_STOP_S:.0f} s.")
                shown.tell("waiting")
                time.sleep(0.1)
        return
    ended = 0
    if files.processes.exists():
        with DataDirLock(files.lock):
            ended = end_leftovers(files.processes)
            environment.remove(files)
    if ended:
        talk.line(f"It was not running; ended {ended} processes that an earlier run had left behind.")
    else:
        talk.line(f"Nothing was running in {files.root}.")


def main() -> int:
    talk = Talk()
    try:
        stop_running(data_dir(), talk)
    except StartFailed as error:
        talk.error(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
