"""Jobs: list, look, retry, cancel."""

from collections.abc import Callable
from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.permissions import RequiresOperator
from apps.core.api.serializers import read_query
from apps.core.jobs.services import cancel_job, retry_job
from apps.core.models import Job
from apps.core.tenancy import current_tenant
from apps.gateway.api.jobs_serializers import JobFilterSerializer, JobSerializer


def jobs_for_tenant() -> QuerySet[Job]:
    """The current tenant's jobs; there is no other way to reach one from the API."""
    return Job.objects.filter(tenant_id=current_tenant().id)


@extend_schema_view(
    get=extend_schema(operation_id="jobs_list", summary="Jobs, newest first", parameters=[JobFilterSerializer])
)
class JobListView(ListAPIView[Job]):
    queryset = Job.objects.none()
    serializer_class = JobSerializer

    def get_queryset(self) -> QuerySet[Job]:
        return jobs_for_tenant().filter(**read_query(self.request, JobFilterSerializer))


@extend_schema_view(get=extend_schema(operation_id="jobs_retrieve", summary="One job"))
class JobView(RetrieveAPIView[Job]):
    queryset = Job.objects.none()
    serializer_class = JobSerializer
    lookup_url_kwarg = "job_id"

    def get_queryset(self) -> QuerySet[Job]:
        return jobs_for_tenant()


class _JobCommandView(APIView):
    permission_classes: ClassVar = [RequiresOperator]
    command: ClassVar[Callable[[UUID], None]]

    def post(self, request: Request, job_id: UUID) -> Response:
        type(self).command(job_id)
        return Response(JobSerializer(jobs_for_tenant().get(pk=job_id)).data)


@extend_schema_view(
    post=extend_schema(
        operation_id="jobs_retry",
        summary="Run a discarded, cancelled or quarantined job again",
        request=None,
        responses=JobSerializer,
    )
)
class JobRetryView(_JobCommandView):
    command = staticmethod(retry_job)


@extend_schema_view(
    post=extend_schema(
        operation_id="jobs_cancel",
        summary="Cancel a waiting job, or ask a running one to stop",
        request=None,
        responses=JobSerializer,
    )
)
class JobCancelView(_JobCommandView):
    command = staticmethod(cancel_job)
