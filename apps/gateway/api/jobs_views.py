"""Jobs: list, look, retry, cancel."""

from collections.abc import Callable
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


@extend_schema_view(get=extend_schema(operation_id="jobs_list", parameters=[JobFilterSerializer]))
class JobListView(ListAPIView[Job]):
    """Jobs, newest first."""

    queryset = Job.objects.none()
    serializer_class = JobSerializer

    def get_queryset(self) -> QuerySet[Job]:
        return jobs_for_tenant().filter(**read_query(self.request, JobFilterSerializer))


@extend_schema_view(get=extend_schema(operation_id="jobs_read"))
class JobView(RetrieveAPIView[Job]):
    """One job."""

    queryset = Job.objects.none()
    serializer_class = JobSerializer
    lookup_url_kwarg = "job_id"

    def get_queryset(self) -> QuerySet[Job]:
        return jobs_for_tenant()


def _command_reply(command: Callable[[UUID], None], job_id: UUID) -> Response:
    command(job_id)
    return Response(JobSerializer(jobs_for_tenant().get(pk=job_id)).data)


class JobRetryView(APIView):
    """Run a discarded, cancelled or quarantined job again."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="jobs_retry", request=None, responses=JobSerializer)
    def post(self, request: Request, job_id: UUID) -> Response:
        return _command_reply(retry_job, job_id)


class JobCancelView(APIView):
    """Cancel a waiting job, or ask a running one to stop."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="jobs_cancel", request=None, responses=JobSerializer)
    def post(self, request: Request, job_id: UUID) -> Response:
        return _command_reply(cancel_job, job_id)
