"""The shapes of POST /v1/search."""

from typing import Any

from rest_framework import serializers

from apps.content.retrieval_conf import retrieval_settings
from apps.content.services.search import MAX_LIMIT
from apps.core.api.serializers import StrictSerializer

MAX_FILTER_VALUES = 100


class SearchFiltersInput(StrictSerializer):
    source = serializers.ListField(  # type: ignore[assignment]  # the metaclass takes it off the class
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=MAX_FILTER_VALUES,
        help_text="Ids or names of sources.",
    )
    content_type = serializers.ListField(
        child=serializers.CharField(max_length=100), required=False, max_length=MAX_FILTER_VALUES
    )
    created_after = serializers.DateTimeField(required=False, allow_null=True)
    created_before = serializers.DateTimeField(required=False, allow_null=True)


class SearchInput(StrictSerializer):
    """The query's own rules (not empty, no control characters) are the service's, with codes of their own."""

    query = serializers.CharField(
        allow_blank=True,
        trim_whitespace=False,
        help_text=f"1 to {retrieval_settings().max_query_chars} characters.",
    )
    limit = serializers.IntegerField(required=False, default=10, min_value=1, max_value=MAX_LIMIT)
    filters = SearchFiltersInput(required=False)
    explain = serializers.BooleanField(required=False, default=False)


class HighlightOutput(serializers.Serializer[Any]):
    text = serializers.CharField()
    start = serializers.IntegerField(help_text="Character offset into the document's normalised text.")
    end = serializers.IntegerField()
    marks = serializers.ListField(
        child=serializers.ListField(child=serializers.IntegerField(), min_length=2, max_length=2),
        help_text="[start, end] of matched words, counted in `text`.",
    )


class ChunkOutput(serializers.Serializer[Any]):
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    heading_path = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField()


class ExplanationOutput(serializers.Serializer[Any]):
    fts_rank = serializers.IntegerField(allow_null=True)
    fts_score = serializers.FloatField(allow_null=True)
    vector_rank = serializers.IntegerField(allow_null=True)
    vector_score = serializers.FloatField(allow_null=True)
    rrf = serializers.FloatField()


class SearchHitOutput(serializers.Serializer[Any]):
    container_id = serializers.UUIDField()
    document_id = serializers.UUIDField()
    title = serializers.CharField()
    source_uri = serializers.CharField()
    deep_link = serializers.CharField(help_text="The web page scrolled to the sentence, or our page of the document.")
    score = serializers.FloatField(help_text="0 to 1; 1 = first in both legs.")
    highlights = HighlightOutput(many=True)
    chunk = ChunkOutput()
    explanation = ExplanationOutput(required=False, help_text="With `explain`.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        shown = super().to_representation(instance)
        if instance.explanation is None:
            del shown["explanation"]
        return shown


class FacetOutput(serializers.Serializer[Any]):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # as above
    count = serializers.IntegerField()


class FacetsOutput(serializers.Serializer[Any]):
    source = FacetOutput(many=True)  # type: ignore[assignment]  # as above
    content_type = FacetOutput(many=True)


class SearchOutput(serializers.Serializer[Any]):
    results = SearchHitOutput(many=True)
    facets = FacetsOutput()
    found = serializers.IntegerField(help_text="Containers counted in the facets.")
    took_ms = serializers.FloatField()
    vector_backend = serializers.CharField(help_text="What served the vector leg.")
