"""An OpenAI-compatible provider on loopback, from the standard library: real HTTP, scripted behaviour.

The part of the model's name after "x-" picks the behaviour; `calls` holds every request body it received.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from apps.capabilities.conf import llm_settings
from apps.capabilities.llm import service

Connect = Callable[..., None]
ANSWER = ["Write-ahead logging ", "protects data [1]. ", "It is on by ", "default [7]."]
SECRET = "sk-secret-that-must-never-be-shown"


class FakeProvider:
    """Base URL, what it was asked, and how its clients left."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.called = threading.Event()
        self.hung_up = threading.Event()
        self.answer: list[str] = list(ANSWER)
        self.pause_s = 0.0
        self.base_url = ""


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    provider = FakeProvider()

    class Handler(_Handler):
        state = provider

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    provider.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextmanager
def connecting(provider: FakeProvider, settings: Any) -> Iterator[Connect]:
    """Gives a function that makes a model of the provider the connected one; afterwards none is."""

    def to(behaviour: str, **options: Any) -> None:
        values = {"LLM_MODEL": f"openai/x-{behaviour}", "LLM_API_BASE": provider.base_url, "LLM_API_KEY": ""} | options
        for name, value in values.items():
            setattr(settings, name, value)
        llm_settings.cache_clear()

    try:
        yield to
    finally:
        settings.LLM_MODEL = ""
        llm_settings.cache_clear()
        service.disconnect()


class _Handler(BaseHTTPRequestHandler):
    state: FakeProvider
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.state.calls.append(body)
        self.state.called.set()
        if self.path.endswith("/embeddings"):
            self._json(200, _embeddings(body))
            return
        behaviour = str(body["model"]).removeprefix("x-")
        if behaviour.isdigit():
            self._json(int(behaviour), {"error": {"message": f"boom {SECRET}", "type": "t", "code": "c"}})
        elif behaviour == "slow":
            time.sleep(3)
            self._json(200, {})
        else:
            self._stream(behaviour)

    def _json(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        try:
            self.wfile.write(raw)
        except OSError:
            self.state.hung_up.set()

    def _stream(self, behaviour: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            for number, piece in enumerate(self.state.answer):
                if behaviour == "cut" and number == 2:
                    return  # a clean end of the connection without finish_reason
                if behaviour == "stall" and number == 2:
                    time.sleep(3)
                self._chunk({"content": piece}, None)
                time.sleep(self.state.pause_s)
            self._chunk({}, "length" if behaviour == "length" else "stop")
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.state.hung_up.set()

    def _chunk(self, delta: dict[str, str], finish: str | None) -> None:
        chunk = {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "x",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    rows = [
        {"object": "embedding", "index": index, "embedding": [float(len(text)), 3.0, 4.0]}
        for index, text in enumerate(body["input"])
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": body["model"], "data": rows[::-1], "usage": usage}
