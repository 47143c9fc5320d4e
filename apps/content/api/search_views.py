"""Search over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.content.api.search_serializers import SearchInput, SearchOutput
from apps.content.selectors.search import SearchFilters
from apps.content.services.search import search
from apps.core.api.serializers import read_body


class SearchView(APIView):
    """Full text and vectors, fused; with highlights, facets and, on request, reasons."""

    @extend_schema(operation_id="search", request=SearchInput, responses=SearchOutput)
    def post(self, request: Request) -> Response:
        given = read_body(request, SearchInput)
        asked = given.get("filters", {})
        found = search(
            given["query"],
            limit=given["limit"],
            filters=SearchFilters(
                source=tuple(asked.get("source", ())),
                content_type=tuple(asked.get("content_type", ())),
                created_after=asked.get("created_after"),
                created_before=asked.get("created_before"),
            ),
            explain=given["explain"],
        )
        return Response(SearchOutput(found).data)
