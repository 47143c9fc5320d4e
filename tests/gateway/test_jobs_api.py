"""/v1/jobs"""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from apps.core.ids import uuid7
from apps.core.models import Job, JobState
from apps.core.tenancy import TenantRef, in_tenant
from tests.gateway.conftest import LiveServer

Keys = Callable[..., str]


def make_job(
    ref: TenantRef, *, state: str = JobState.COMPLETED, queue: str = "default", name: str = "test.work"
) -> UUID:
    """A job row as history would have left it; far in the future when waiting, so that no relay takes it."""
    with in_tenant(ref):
        row = Job.objects.create(
            tenant_id=ref.id,
            queue=queue,
            name=name,
            args={"n": 1},
            state=state,
            attempt=3,
            cause_code="boom" if state == JobState.DISCARDED else "",
            correlation_id=uuid7(),
            scheduled_at=timezone.now() + timedelta(days=1),
            finished_at=timezone.now() if state in {JobState.COMPLETED, JobState.DISCARDED} else None,
        )
    return row.pk


def state_of(ref: TenantRef, job_id: UUID) -> str:
    with in_tenant(ref):
        return Job.objects.values_list("state", flat=True).get(pk=job_id)


def test_list_filters_and_pages(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    done = [make_job(tenant) for _ in range(3)]
    failed = make_job(tenant, state=JobState.DISCARDED, queue="storage", name="test.other")
    with server.client(tenant, make_key(tenant, role="viewer")) as client:

        def ids(query: str) -> list[str]:
            reply = client.get(f"/v1/jobs{query}")
            assert reply.status_code == 200, reply.text
            return [row["id"] for row in reply.json()["results"]]

        assert ids("") == [str(failed), *(str(job) for job in reversed(done))]
        assert ids("?state=discarded") == ids("?queue=storage") == ids("?name=test.other") == [str(failed)]
        first = client.get("/v1/jobs?limit=3").json()
        second = client.get("/v1/jobs?" + first["next"].partition("?")[2]).json()
        one = client.get(f"/v1/jobs/{failed}").json()
    assert [row["id"] for row in first["results"] + second["results"]] == [str(failed), *map(str, reversed(done))]
    assert second["next"] is None
    assert (one["state"], one["cause_code"], one["attempt"], one["args"]) == ("discarded", "boom", 3, {"n": 1})


def test_retry_and_cancel(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    failed = make_job(tenant, state=JobState.DISCARDED)
    waiting = make_job(tenant, state=JobState.SCHEDULED)
    with server.client(tenant, make_key(tenant)) as client:
        cancelled = client.post(f"/v1/jobs/{waiting}/cancel")
        again = client.post(f"/v1/jobs/{waiting}/cancel")
        retried = client.post(f"/v1/jobs/{failed}/retry")
        client.post(f"/v1/jobs/{failed}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "job_finished")
    assert (retried.status_code, retried.json()["state"], retried.json()["attempt"]) == (200, "available", 0)


def test_a_viewer_changes_nothing(server: LiveServer, tenant: TenantRef, make_key: Keys) -> None:
    failed = make_job(tenant, state=JobState.DISCARDED)
    with server.client(tenant, make_key(tenant, role="editor")) as client:
        reply = client.post(f"/v1/jobs/{failed}/retry")
    assert (reply.status_code, reply.json()["code"]) == (403, "permission_denied")
    assert state_of(tenant, failed) == JobState.DISCARDED
