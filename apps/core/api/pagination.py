"""Lists: newest first, by cursor on the primary key, at most 100 a page, no totals."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination as DrfCursorPagination
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.core.api.errors import CursorInvalid, PageLimitRefused

MAX_LIMIT = 100
CURSOR_REFUSED = "Take the cursor from `next` or `previous` of an earlier page."


class CursorPagination(DrfCursorPagination):
    """`?limit=` 1 to 100 (50 if absent), `?cursor=` from an earlier page. Ids are time-ordered: -id is newest first."""

    ordering = "-id"
    page_size = 50
    max_page_size = MAX_LIMIT
    page_size_query_param = "limit"

    def paginate_queryset(  # type: ignore[override]  # a cursor needs a table, not any sequence
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        try:
            cursor = self.decode_cursor(request)
        except NotFound:
            raise CursorInvalid(CURSOR_REFUSED) from None
        if cursor is not None and cursor.position is not None:
            try:
                queryset.model._meta.pk.to_python(cursor.position)
            except (ValidationError, AttributeError):
                raise CursorInvalid(CURSOR_REFUSED) from None
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get("limit")
        if raw is None:
            return self.page_size
        if not (raw.isascii() and raw.isdigit() and len(raw) <= 3 and 1 <= int(raw) <= MAX_LIMIT):
            raise PageLimitRefused(MAX_LIMIT)
        return int(raw)
