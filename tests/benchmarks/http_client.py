"""A small keep-alive client of POST /v1/search. One connection; not for several threads."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit


class SearchFailed(RuntimeError):
    """The API did not answer 200."""


class SearchClient:
    """Asks one instance; `keys` are used in turn, because the rate limit counts per key."""

    def __init__(self, url: str, keys: list[str], *, path: str = "/v1/search") -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=60)
        self._keys = keys
        self._path = path
        self._sent = 0

    def search(self, query: str, *, limit: int = 10) -> dict[str, Any]:
        """The decoded answer. Raises SearchFailed."""
        answer: dict[str, Any] = json.loads(self.send(query, limit=limit))
        return answer

    def send(self, query: str, *, limit: int = 10) -> bytes:
        """The answer's bytes. Raises SearchFailed."""
        key = self._keys[self._sent % len(self._keys)]
        self._sent += 1
        self._connection.request(
            "POST",
            self._path,
            body=json.dumps({"query": query, "limit": limit}),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise SearchFailed(f"{self._path} answered {response.status}: {body[:300].decode(errors='replace')}")
        return body

    def reconnect(self) -> None:
        """A new connection: servers close one that was idle for seconds."""
        self._connection.close()
        self._connection.connect()

    def close(self) -> None:
        self._connection.close()
