"""Request bodies."""

from collections.abc import Mapping
from email.message import Message
from typing import IO, Any

from django.http.multipartparser import MultiPartParserError
from rest_framework.parsers import BaseParser, DataAndFiles
from rest_framework.parsers import MultiPartParser as DrfMultiPartParser

from apps.core.api.errors import MediaTypeUnsupported, RequestMalformed
from apps.core.api.json import loads_strict


def require_utf8(content_type: str) -> None:
    """Refuse a Content-Type whose charset is anything but UTF-8."""
    message = Message()
    message["Content-Type"] = content_type
    charset = message.get_param("charset")
    if charset is not None and str(charset).lower() not in {"utf-8", "utf8"}:
        raise MediaTypeUnsupported("JSON is accepted in UTF-8 only.")


class StrictJSONParser(BaseParser):
    """`loads_strict` as a DRF parser."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        require_utf8(media_type or self.media_type)
        return loads_strict(stream.read())


class MultiPartParser(DrfMultiPartParser):
    """Multipart forms; a broken one is 400 `request_malformed`."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        try:
            return super().parse(stream, media_type, parser_context)
        except MultiPartParserError:
            raise RequestMalformed("The multipart form could not be read.") from None
