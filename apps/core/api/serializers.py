"""Input that says exactly what it takes."""

from collections.abc import Mapping
from typing import Any, TypeVar

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

PAGING_PARAMETERS = frozenset({"limit", "cursor"})
LIST_FIELDS = (serializers.ListField, serializers.MultipleChoiceField, serializers.ManyRelatedField)
S = TypeVar("S", bound="StrictSerializer")


class StrictSerializer(serializers.Serializer[Any]):
    """An input serializer: a field it does not declare as writable is refused (`field_unknown`)."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = {field.field_name for field in self._writable_fields}
            unknown = sorted(str(name) for name in data if name not in known)
            if unknown:
                raise serializers.ValidationError(
                    {name: [ErrorDetail("This field is not accepted here.", code="field_unknown")] for name in unknown}
                )
        return super().to_internal_value(data)


def read_body(request: Request, serializer: type[S]) -> dict[str, Any]:
    """The request's body, checked by `serializer`. Raises ValidationError (422 in the reply)."""
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def read_query(request: Request, serializer: type[S]) -> dict[str, Any]:
    """The query string's filters, checked by `serializer`; paging parameters are left to the paginator.

    A parameter may be repeated only where its field takes a list.
    """
    given = request.query_params.copy()
    for name in PAGING_PARAMETERS:
        given.pop(name, None)
    lists = {name for name, field in serializer().fields.items() if isinstance(field, LIST_FIELDS)}
    repeated = [name for name in given if len(given.getlist(name)) > 1 and name not in lists]
    if repeated:
        raise serializers.ValidationError(
            {name: [ErrorDetail("Give this parameter once.", code="parameter_repeated")] for name in repeated}
        )
    # A plain mapping: in an HTML form's, Django REST framework reads a missing boolean as False.
    checked = serializer(data={name: given.getlist(name) if name in lists else given[name] for name in given})
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)
