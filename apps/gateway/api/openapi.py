"""The API's description: DRF's routes by drf-spectacular, the native ones and the problem document by hand."""

from functools import cache
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator

from apps.content.retrieval_conf import retrieval_settings
from apps.core.api.problems import MEDIA_TYPE
from apps.core.api.schema import PROBLEM_SCHEMA

PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
PROBLEM_RESPONSE = {"description": "The request was refused.", "content": {MEDIA_TYPE: {"schema": PROBLEM_REF}}}
SECURITY: list[dict[str, list[str]]] = [{"apiKey": []}, {"session": []}]

EVENTS = {
    "operationId": "events_stream",
    "summary": "The tenant's events, live",
    "description": (
        "Server-sent events. `connected` comes first. Ids are `<epoch>-<seq>`; send the last one as `Last-Event-ID` "
        "(or `last_event_id`) to go on from there. `reset` says that this was not possible and why, `lagged` that the "
        "client read too slowly, `closed` that the stream ended on purpose. Every other event is named like its topic "
        "and carries its own fields with `timestamp`, `event_id` and `correlation_id`."
    ),
    "tags": ["events"],
    "security": SECURITY,
    "parameters": [
        {
            "in": "query",
            "name": "topics",
            "schema": {"type": "string", "default": "*"},
            "description": "Comma-separated names like `document.indexed`, families like `document.*`, or `*`.",
        },
        {"in": "query", "name": "last_event_id", "schema": {"type": "string"}},
        {"in": "header", "name": "Last-Event-ID", "schema": {"type": "string"}, "description": "Beats the parameter."},
    ],
    "responses": {
        "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
}
CHAT = {
    "operationId": "chat",
    "summary": "Ask, and get an answer with citations, streamed",
    "description": (
        "Server-sent events: `sources`, then `delta` and `citation`, then `done`; or `error`. Refusals before the "
        "stream starts are problem documents."
    ),
    "tags": ["chat"],
    "security": SECURITY,
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
    },
    "responses": {
        "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
}
CHAT_REQUEST = {
    "type": "object",
    "additionalProperties": False,
    "required": ["message"],
    "properties": {
        "message": {"type": "string", "minLength": 1, "maxLength": retrieval_settings().max_message_chars},
        "conversation_id": {"type": "string", "format": "uuid", "nullable": True},
    },
}
HEALTH = {
    "type": "object",
    "required": ["status", "version", "failing", "checks"],
    "properties": {
        "status": {"type": "string", "enum": ["ok", "degraded", "unavailable"]},
        "version": {"type": "string"},
        "failing": {"type": "array", "items": {"type": "string"}},
        "checks": {"type": "object", "additionalProperties": {"type": "object"}},
    },
}
LIVE = {
    "operationId": "health_live",
    "summary": "The server process answers",
    "tags": ["health"],
    "security": [{}],
    "responses": {
        "200": {
            "description": "It does.",
            "content": {
                "application/json": {"schema": {"type": "object", "properties": {"status": {"type": "string"}}}}
            },
        }
    },
}
READY = {
    "operationId": "health_ready",
    "summary": "Every dependency by name, with its latency",
    "tags": ["health"],
    "security": [{}],
    "responses": {
        str(status): {
            "description": text,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
        }
        for status, text in ((200, "Ready, perhaps degraded."), (503, "PostgreSQL is down."))
    },
}
NATIVE_PATHS = {
    "/v1/events": {"get": EVENTS},
    "/v1/chat": {"post": CHAT},
    "/health/live": {"get": LIVE},
    "/health/ready": {"get": READY},
}


def add_native_routes(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """POSTPROCESSING_HOOKS: the routes that Django does not see, and the problem every operation may answer with."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM_SCHEMA, "ChatRequest": CHAT_REQUEST, "Health": HEALTH}
    result["paths"] = dict(sorted((result["paths"] | NATIVE_PATHS).items()))
    for path, methods in result["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/"):
                operation["responses"] = operation["responses"] | {"default": PROBLEM_RESPONSE}
    return result


@cache
def _document() -> bytes:
    return msgspec.json.encode(SchemaGenerator().get_schema(request=None, public=True))  # type: ignore[no-untyped-call]  # untyped library


def openapi_json(request: HttpRequest) -> HttpResponse:
    """GET /v1/openapi.json"""
    return HttpResponse(_document(), content_type="application/vnd.oai.openapi+json")
