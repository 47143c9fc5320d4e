"""The outermost middleware: native and bridged paths get the same ids, checks, caps and headers."""

import logging
import re
from urllib.parse import parse_qsl

from apps.core.api.errors import CredentialInUrl, RequestMalformed
from apps.core.api.problems import refusal_for
from apps.core.api.trace import tracing
from apps.gateway.asgi.bodies import complete_body
from apps.gateway.asgi.replies import send_problem
from apps.gateway.asgi.types import AsgiApp, ClientGone, Message, Receive, Scope, Send, header
from apps.gateway.conf import GatewaySettings
from apps.gateway.csp import with_security_headers
from apps.gateway.hosts import require_host

log = logging.getLogger(__name__)

CREDENTIAL_PARAMETERS = frozenset({"api_key", "apikey", "access_token", "auth_token", "authorization", "token"})
_KEY = re.compile(r"cyb_[A-Za-z0-9]+_")


class Edge:
    """Wraps the HTTP side of the application."""

    def __init__(self, app: AsgiApp, options: GatewaySettings) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with tracing(header(scope, b"x-request-id")) as trace_id:
            reply = _Reply(scope, send, trace_id)
            try:
                check_request(scope)
                await self._with_body(scope, receive, reply)
            except ClientGone:
                log.debug("client left: %s %s trace_id=%s", scope["method"], scope["path"], trace_id)
            except Exception as error:  # noqa: BLE001  # boundary: the server must get a complete reply
                await reply.refuse(error)

    async def _with_body(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        options = self._options
        upload = self._is_upload(scope)
        async with complete_body(
            scope,
            receive,
            limit_bytes=options.upload_limit_bytes if upload else options.json_limit_bytes,
            timeout_s=options.upload_timeout_s if upload else options.body_timeout_s,
            memory_bytes=options.spool_memory_bytes,
        ) as (complete_scope, complete_receive):
            reply.body_read = True
            await self._app(complete_scope, complete_receive, reply.send)

    def _is_upload(self, scope: Scope) -> bool:
        """A multipart form to an upload path, from someone who at least claims to be known."""
        known = header(scope, b"authorization") or header(scope, b"cookie")
        form = (header(scope, b"content-type") or "").lower().startswith("multipart/form-data")
        return bool(known) and form and scope["path"].rstrip("/") in self._options.upload_paths


class _Reply:
    """The way out: adds the headers, and knows whether a reply has begun."""

    def __init__(self, scope: Scope, send: Send, trace_id: str) -> None:
        self._scope = scope
        self._send = send
        self._trace_id = trace_id
        self._started = False
        self.body_read = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = with_security_headers(
                list(message.get("headers", [])),
                path=self._scope["path"],
                scheme=self._scope.get("scheme", "http"),
                trace_id=self._trace_id,
            )
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, error: Exception) -> None:
        known = refusal_for(error)
        if not self._started:
            await send_problem(self.send, known, close=not self.body_read)


def check_request(scope: Scope) -> None:
    """Refuse what no correct client sends: a bad Host, bytes that no URL holds, a credential in the URL."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        raise RequestMalformed("Exactly one Host header is needed.")
    require_host(hosts[0].decode("latin-1"))
    raw_path: bytes = scope.get("raw_path") or b""
    query: bytes = scope["query_string"]
    if b"%00" in raw_path or b"%00" in query or "\x00" in scope["path"] or not query.isascii():
        raise RequestMalformed("The URL holds bytes that no text can.")
    if query:
        _check_query(query.decode("ascii"))


def _check_query(query: str) -> None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise RequestMalformed("The URL has more than 200 parameters.") from None
    for name, value in pairs:
        if name.lower() in CREDENTIAL_PARAMETERS or _KEY.match(value):
            raise CredentialInUrl(
                "URLs end up in logs and histories: send the key as `Authorization: Bearer ...` and replace this one."
            )
