"""The API's shared base: JSON, problems, strict input, roles, cursors."""

import json
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from django.db.utils import OperationalError
from django.http import Http404
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.core.api.errors import CursorInvalid, PageLimitRefused, RateLimited
from apps.core.api.json import MAX_DEPTH, loads_strict, pointer
from apps.core.api.pagination import CursorPagination
from apps.core.api.parsers import StrictJSONParser
from apps.core.api.permissions import ROLES, role_allows
from apps.core.api.problems import as_domain_error, exception_handler, problem, problem_headers, validation_failed
from apps.core.api.serializers import StrictSerializer, read_query
from apps.core.api.trace import current_trace_id, tracing
from apps.core.correlation import current_correlation_id
from apps.core.errors import DomainError, FieldError
from apps.core.models import Job
from apps.core.tenancy import TenantRef


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"", "json_invalid", 400),
        (b"{", "json_invalid", 400),
        (b'{"a":1} x', "json_invalid", 400),
        (b"\xef\xbb\xbf{}", "json_invalid", 400),
        ('{"a":"é"}'.encode("utf-16"), "json_invalid", 400),
        (b'{"a":"\xff"}', "json_invalid", 400),
        (b'{"a":"tab\there"}', "json_invalid", 400),
        (b"{'a':1}", "json_invalid", 400),
        (b"[" * 100_000, "json_too_deep", 400),
        (b"[" * 65 + b"]" * 65, "json_too_deep", 400),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "json_too_deep", 400),
        (b"NaN", "json_number_invalid", 400),
        (b"[Infinity]", "json_number_invalid", 400),
        (b'{"a":-Infinity}', "json_number_invalid", 400),
        (b"1e999", "json_number_invalid", 400),
        (b"9223372036854775808", "json_number_range", 400),
        (b"-" + b"9" * 5000, "json_number_range", 400),
        (b'{"a":1,"a":2}', "json_duplicate_key", 400),
        (b'[{"b":{"a":1,"\\u0061":2}}]', "json_duplicate_key", 400),
        (b'{"a":"x\\u0000"}', "text_control_char", 422),
        (b'{"a":"\\ud800"}', "text_invalid_unicode", 422),
        (b'{"\\udfff":1}', "text_invalid_unicode", 422),
    ],
)
def test_loads_strict_refuses(body: bytes, code: str, status: int) -> None:
    with pytest.raises(DomainError) as refused:
        loads_strict(body)
    assert (refused.value.code, refused.value.status) == (code, status)
    json.dumps(problem(refused.value)).encode()


def test_loads_strict_points_at_the_refused_text() -> None:
    with pytest.raises(DomainError) as refused:
        loads_strict(b'{"a":[1,{"b/c~":"\\u0000"}]}')
    assert refused.value.errors[0].pointer == "/a/1/b~1c~0"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775807", 1 - 2**63),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\u0000"', "\\u0000"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"[" + b"[]," * 1000 + b"[]]", None),
    ],
)
def test_loads_strict_takes_what_is_just_inside(body: bytes, value: Any) -> None:
    assert loads_strict(body) == (json.loads(body) if value is None else value)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs", "Cc"])), inner),
    max_leaves=30,
)


@given(value=_json, ascii_only=st.booleans())
def test_loads_strict_agrees_with_json_on_plain_values(value: Any, ascii_only: bool) -> None:
    assert loads_strict(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_loads_strict_never_fails_otherwise(body: bytes) -> None:
    with suppress(DomainError):
        loads_strict(body)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_pointers_read_back(parts: list[str]) -> None:
    read = [part.replace("~1", "/").replace("~0", "~") for part in pointer(*parts).split("/")[1:]]
    assert read == parts


class Inner(StrictSerializer):
    name = serializers.CharField(max_length=5)


class Outer(StrictSerializer):
    text = serializers.CharField()
    count = serializers.IntegerField(required=False, max_value=3)
    inner = Inner(required=False)
    rows = Inner(many=True, required=False)
    made_at = serializers.DateTimeField(read_only=True)


@pytest.mark.parametrize(
    ("given_data", "code", "pointers"),
    [
        ({"text": "a", "tenant_id": 1}, "field_unknown", ["/tenant_id"]),
        ({"text": "a", "made_at": "2026-01-01T00:00:00Z"}, "field_unknown", ["/made_at"]),
        ({"text": "a", "inner": {"name": "b", "role": "owner"}}, "field_unknown", ["/inner/role"]),
        ({"text": "a", "rows": [{"name": "b"}, {"name": "b", "x": 1}]}, "field_unknown", ["/rows/1/x"]),
        ({}, "validation_failed", ["/text"]),
        ({"count": 9}, "validation_failed", ["/text", "/count"]),
        ({"text": "a\x00b"}, "text_control_char", ["/text"]),
        ([1], "validation_failed", [""]),
    ],
)
def test_strict_serializer_says_what_and_where(given_data: Any, code: str, pointers: list[str]) -> None:
    checked = Outer(data=given_data)
    with pytest.raises(exceptions.ValidationError) as refused:
        checked.is_valid(raise_exception=True)
    error = validation_failed(refused.value)
    assert (error.status, error.code) == (422, code)
    assert sorted(field.pointer for field in error.errors) == sorted(pointers)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (exceptions.NotAuthenticated(), 401, "token_invalid"),
        (exceptions.AuthenticationFailed("why"), 401, "token_invalid"),
        (exceptions.PermissionDenied("CSRF Failed: x"), 403, "csrf_failed"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (Http404("Model Secret"), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.UnsupportedMediaType("a/b"), 415, "media_type_unsupported"),
        (exceptions.ParseError("why"), 400, "request_malformed"),
        (OperationalError("connection to secret host failed"), 503, "service_unavailable"),
        (DomainError("no"), 422, "refused"),
    ],
)
def test_known_exceptions_become_problems(error: Exception, status: int, code: str) -> None:
    known = as_domain_error(error)
    assert known is not None
    assert (known.status, known.code) == (status, code)
    assert "ecret" not in json.dumps(problem(known))


def test_a_fault_says_nothing_but_its_trace_id(caplog: pytest.LogCaptureFixture) -> None:
    with tracing("trace-of-a-fault"):
        response = exception_handler(RuntimeError("select secret from t_a"), {})
    assert (response.status_code, response.data["trace_id"]) == (500, "trace-of-a-fault")
    assert "secret" not in json.dumps(response.data)
    assert "trace-of-a-fault" in caplog.text
    assert "select secret from t_a" in caplog.text


def test_headers_belong_to_the_status() -> None:
    assert problem_headers(RateLimited(7))["Retry-After"] == "7"
    body = problem(DomainError("no", errors=[FieldError("/a", "b", "c")], status=200, limit=3))
    assert (body["status"], body["limit"]) == (422, 3)
    assert body["errors"] == [{"pointer": "/a", "code": "b", "detail": "c"}]


def test_a_sane_uuid_is_trace_and_correlation() -> None:
    given_id = "01920000-0000-7000-8000-00000000abcd"
    with tracing(given_id) as trace_id:
        assert (trace_id, current_trace_id(), str(current_correlation_id())) == (given_id,) * 3
    with tracing("x" * 65) as trace_id:
        assert trace_id == str(current_correlation_id())
    assert current_trace_id() == "-"


def test_roles_are_a_ladder() -> None:
    for held in range(len(ROLES)):
        for needed in range(len(ROLES)):
            assert role_allows(ROLES[held], ROLES[needed]) is (held >= needed)
    assert not role_allows("", "viewer")
    assert not role_allows("admin", "viewer")


class Filters(StrictSerializer):
    state = serializers.CharField(required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    allowed: ClassVar = None


def drf_request(query: str) -> Request:
    return Request(APIRequestFactory().get(f"/v1/x?{query}"), parsers=[StrictJSONParser()])


def test_read_query_is_strict_about_names_and_repeats() -> None:
    assert read_query(drf_request("state=a&limit=3&cursor=x&tags=1&tags=2"), Filters) == {
        "state": "a",
        "tags": ["1", "2"],
    }
    for query, code in (("stat=a", "field_unknown"), ("state=a&state=b", "parameter_repeated")):
        with pytest.raises(exceptions.ValidationError) as refused:
            read_query(drf_request(query), Filters)
        assert [field.code for field in validation_failed(refused.value).errors] == [code]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "x", "", "1.5", "٣", "9223372036854775808", "1e1"])
def test_page_size_is_refused_not_bent(limit: str) -> None:
    with pytest.raises(PageLimitRefused):
        CursorPagination().get_page_size(drf_request(f"limit={limit}"))


@pytest.mark.parametrize("cursor", ["zzz", "cD1ub3RhdXVpZA==", "bz14", "é", "cD0lMDA="])
def test_a_forged_cursor_is_refused(in_new_tenant: TenantRef, cursor: str) -> None:
    request = Request(APIRequestFactory().get("/v1/x", {"cursor": cursor}))
    with pytest.raises(CursorInvalid):
        CursorPagination().paginate_queryset(Job.objects.all(), request)


def test_pages_hold_every_row_once_newest_first(in_new_tenant: TenantRef) -> None:
    rows = [
        Job(tenant_id=in_new_tenant.id, queue="default", name="x", correlation_id=in_new_tenant.id) for _ in range(25)
    ]
    Job.objects.bulk_create(rows)
    seen, query = [], "limit=10"
    while query:
        pages = CursorPagination()
        seen += [row.pk for row in pages.paginate_queryset(Job.objects.all(), drf_request(query)) or []]
        query = (pages.get_next_link() or "").partition("?")[2]
    assert seen == sorted((row.pk for row in rows), reverse=True)
