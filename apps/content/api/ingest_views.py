"""Ingest, documents and sources over HTTP. Nothing here takes a path of the server's file system."""

from typing import Any, cast
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.content.api.ingest_serializers import (
    ContentOutput,
    DocumentFilters,
    DocumentOutput,
    IngestAccepted,
    IngestUploadInput,
    IngestUrlInput,
    PauseInput,
    RetriedOutput,
    RunFilters,
    RunOutput,
    SourceFilters,
    SourceOutput,
)
from apps.content.conf import ingest_settings
from apps.content.errors import UploadTooLarge
from apps.content.models import Document, IngestRun, Source
from apps.content.selectors.documents import (
    content_of_document,
    document_by_id,
    document_ids_of_run,
    documents_visible,
)
from apps.content.selectors.runs import progress_of_runs, run_by_id, runs_recent
from apps.content.selectors.sources import source_by_id, sources_with_counts
from apps.content.services.documents import remove_document, retry_document
from apps.content.services.ingest import ingest_upload, ingest_url
from apps.content.services.runs import cancel_run
from apps.content.services.sources import pause_source, resume_source
from apps.core.api.parsers import MultiPartParser, StrictJSONParser
from apps.core.api.permissions import ReadsOrRequiresEditor, RequiresEditor, RequiresOperator
from apps.core.api.serializers import read_body, read_query
from apps.tenants.selectors import Principal


class IngestView(APIView):
    """Bring one URL or one file in. The work goes on in the background."""

    permission_classes = (RequiresEditor,)
    parser_classes = (StrictJSONParser, MultiPartParser)

    @extend_schema(
        operation_id="ingest",
        request={"application/json": IngestUrlInput, "multipart/form-data": IngestUploadInput},
        responses={202: IngestAccepted},
    )
    def post(self, request: Request) -> Response:
        if (request.content_type or "").startswith("multipart/"):
            given = read_body(request, IngestUploadInput)
            run = self._upload(given["file"])
        else:
            given = read_body(request, IngestUrlInput)
            run = ingest_url(given["url"], source_name=given.get("source"))
        return Response({"run_id": run.pk, "document_ids": document_ids_of_run(run.pk)}, status=202)

    def _upload(self, file: "UploadedFile[Any]") -> IngestRun:
        limit = ingest_settings().max_document_bytes
        if (file.size or 0) > limit:
            raise UploadTooLarge(f"A file may have at most {limit} bytes.", limit_bytes=limit)
        media_type = file.content_type or ""
        if file.charset:
            media_type = f"{media_type}; charset={file.charset}"
        return ingest_upload(file.name or "", file.read(), media_type)


class _RunContext:
    """Gives RunOutput the progress of the runs it is about to show."""

    def shown(self, runs: list[IngestRun]) -> list[dict[str, Any]]:
        return list(RunOutput(runs, many=True, context={"progress": progress_of_runs(runs)}).data)


@extend_schema_view(get=extend_schema(operation_id="runs_list", parameters=[RunFilters]))
class RunsView(_RunContext, ListAPIView[IngestRun]):
    """Ingest runs, newest first."""

    serializer_class = RunOutput
    queryset = IngestRun.objects.none()

    def get_queryset(self) -> QuerySet[IngestRun]:
        return runs_recent().filter(**read_query(self.request, RunFilters))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.get_paginated_response(self.shown(self.paginate_queryset(self.get_queryset()) or []))


class RunView(_RunContext, APIView):
    """One run with its progress."""

    @extend_schema(operation_id="runs_read", responses=RunOutput)
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(self.shown([run_by_id(run_id)])[0])


class CancelRunView(_RunContext, APIView):
    """Stop what a run still has to do."""

    permission_classes = (RequiresEditor,)

    @extend_schema(operation_id="runs_cancel", request=None, responses=RunOutput)
    def post(self, request: Request, run_id: UUID) -> Response:
        cancel_run(run_id)
        return Response(self.shown([run_by_id(run_id)])[0])


@extend_schema_view(get=extend_schema(operation_id="documents_list", parameters=[DocumentFilters]))
class DocumentsView(ListAPIView[Document]):
    """Documents, newest first."""

    serializer_class = DocumentOutput
    queryset = Document.objects.none()

    def get_queryset(self) -> QuerySet[Document]:
        return documents_visible().filter(**read_query(self.request, DocumentFilters))


class DocumentView(APIView):
    """One document; an editor can remove it."""

    permission_classes = (ReadsOrRequiresEditor,)

    @extend_schema(operation_id="documents_read", responses=DocumentOutput)
    def get(self, request: Request, document_id: UUID) -> Response:
        return Response(DocumentOutput(document_by_id(document_id)).data)

    @extend_schema(operation_id="documents_remove", responses={204: None})
    def delete(self, request: Request, document_id: UUID) -> Response:
        document_by_id(document_id)
        remove_document(document_id, reason="removed_by_user")
        return Response(status=204)


class DocumentContentView(APIView):
    """The normalised text of a document."""

    @extend_schema(operation_id="documents_content", responses=ContentOutput)
    def get(self, request: Request, document_id: UUID) -> Response:
        content = content_of_document(document_id)
        document = content.document
        return Response(
            {
                "document_id": document.pk,
                "title": document.title,
                "media_type": document.media_type,
                "language": content.language,
                "content_hash": document.blob.content_hash if document.blob else "",
                "text": content.text,
                "headings": [{"level": level, "text": text, "start": start} for level, text, start in content.headings],
            }
        )


class RetryDocumentView(APIView):
    """Process a failed document again."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="documents_retry", request=None, responses={202: RetriedOutput})
    def post(self, request: Request, document_id: UUID) -> Response:
        job_id = retry_document(document_id)
        return Response({"document_id": document_id, "job_id": job_id}, status=202)


@extend_schema_view(get=extend_schema(operation_id="sources_list", parameters=[SourceFilters]))
class SourcesView(ListAPIView[Source]):
    """Sources, newest first."""

    serializer_class = SourceOutput
    queryset = Source.objects.none()

    def get_queryset(self) -> QuerySet[Source]:
        return sources_with_counts().filter(**read_query(self.request, SourceFilters))


class PauseSourceView(APIView):
    """Stop fetching from a source."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="sources_pause", request=PauseInput, responses=SourceOutput)
    def post(self, request: Request, source_id: UUID) -> Response:
        given = read_body(request, PauseInput)
        pause_source(source_id, reason=given["reason"])
        return Response(SourceOutput(source_by_id(source_id)).data)


class ResumeSourceView(APIView):
    """Fetch from a source again; what was held goes first."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="sources_resume", request=None, responses=SourceOutput)
    def post(self, request: Request, source_id: UUID) -> Response:
        resume_source(source_id, actor=cast("Principal", request.user).label)
        return Response(SourceOutput(source_by_id(source_id)).data)
