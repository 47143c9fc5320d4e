"""The API's description: complete, valid, committed, and served."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from apps.core.tenancy import TenantRef
from apps.gateway.api.openapi import NATIVE_PATHS
from tests.gateway.conftest import LiveServer

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `manage.py spectacular` writes; warnings are failures."""
    target = tmp_path_factory.mktemp("openapi") / "openapi.yaml"
    call_command("spectacular", file=str(target), validate=True, fail_on_warn=True)
    return target.read_text()


def test_the_committed_description_is_the_generated_one(generated: str) -> None:
    assert generated == COMMITTED.read_text(), "run `manage.py spectacular --validate --file docs/openapi.yaml`"


def _api_patterns(resolver: URLResolver, prefix: str = "") -> list[str]:
    found: list[str] = []
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            found += _api_patterns(entry, route)
        elif isinstance(entry, URLPattern) and route.startswith("v1/") and entry.name != "openapi":
            found.append("/" + route.replace("<uuid:", "{").replace(">", "}"))
    return found


def test_every_route_is_described(generated: str) -> None:
    described: dict[str, Any] = yaml.safe_load(generated)["paths"]
    assert set(described) == set(_api_patterns(get_resolver())) | set(NATIVE_PATHS)


def test_every_operation_answers_refusals_with_a_problem(generated: str) -> None:
    document = yaml.safe_load(generated)
    operations = [
        (path, operation)
        for path, methods in document["paths"].items()
        if path.startswith("/v1/")
        for operation in methods.values()
    ]
    assert len(operations) > 20
    for path, operation in operations:
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}, path
        assert operation["security"] == [{"apiKey": []}, {"session": []}], path


def test_it_is_served_without_a_key(server: LiveServer, home: TenantRef, generated: str) -> None:
    with server.client(home) as client:
        reply = client.get("/v1/openapi.json")
    assert reply.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert set(reply.json()["paths"]) == set(yaml.safe_load(generated)["paths"])
