"""The whole platform as a user starts it, in a data directory of its own, seen from outside."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
SUITE_VARIABLES = ("DATABASE_", "CYBERNETIC_", "REDIS_", "CELERY_", "DJANGO_", "EGRESS_", "LLM_")


@dataclass(frozen=True)
class Reply:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


class Platform:
    """One `make up`. Start it, talk to it, kill parts of it, stop it; nothing stays behind."""

    def __init__(self, **variables: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cyb-up-"))
        self.data_dir = self.folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(SUITE_VARIABLES) and "COV" not in k}
        self.environment = inherited | {
            "CYBERNETIC_DATA_DIR": str(self.data_dir),
            "CYBERNETIC_PORT": str(self.port),
            "CYBERNETIC_DEMO_PASSWORD": "correct horse battery staple",
            **variables,
        }
        self.said = self.folder / "said.txt"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"

    email = "operator@demo.localhost"
    password = "correct horse battery staple"

    def start(self, timeout_s: float = 240) -> "Platform":
        with self.said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "apps.core.embedded.up"],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        process = self.process

        def serves() -> bool:
            assert process.poll() is None, self.said.read_text()
            return "Cybernetic runs at" in self.said.read_text()

        self.until(serves, "the start", timeout_s)
        return self

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(90)
        self.process = None

    def discard(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 120) -> None:
        """Wait for a condition, and fail with what the platform said when it does not come."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came:\n{self.said.read_text()[-3000:]}"
            time.sleep(0.2)

    def manage(self, *arguments: str, check: bool = True) -> Reply:
        """Run `manage.py` beside the running platform."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return Reply(done.returncode, done.stdout, done.stderr)

    def key(self, tenant: str = "demo") -> str:
        return self.manage("api_key", "create", "--tenant", tenant, "--name", "tests").out.strip()

    def client(self, key: str) -> httpx.Client:
        """An API client on the demo tenant's host."""
        return httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def ready(self) -> dict[str, Any]:
        """What /health/ready says; empty while nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return {}
        finally:
            connection.close()
        return answer

    def pids(self) -> dict[str, int]:
        """Process ids by name, as the supervisor recorded them."""
        stored = json.loads((self.data_dir / "processes.json").read_text())
        return {child["name"]: child["pid"] for child in stored["children"]}
