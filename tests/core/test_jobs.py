"""Jobs as rows: what is promised when handlers succeed, fail, are killed or asked twice."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from apps.core.errors import DomainError
from apps.core.jobs import Snooze, cancel_job, enqueue, job, retry_job
from apps.core.jobs.dispatch import rescue_orphans
from apps.core.jobs.execution import run_job
from apps.core.models import Job
from apps.core.tenancy import TenantRef, current_tenant, in_system, in_tenant

ran: list[tuple[str, UUID]] = []
discarded: list[tuple[str, str]] = []


class Flaky(DomainError):
    code = "flaky"


def note_discard(args: dict[str, str], code: str, detail: str) -> None:
    discarded.append((args["mode"], code))


@job("tests.work", queue="default", attempts=3, retry_on=(Flaky,), on_discard=note_discard)
def work(*, mode: str, marker: UUID) -> None:
    ran.append((mode, marker))
    assert isinstance(marker, UUID)
    if mode == "flaky":
        raise Flaky("not yet")
    if mode == "refused":
        raise DomainError("never")
    if mode == "bug":
        raise ZeroDivisionError
    if mode == "snooze" and len([m for m in ran if m[1] == marker]) == 1:
        raise Snooze(0.01, "later")


def state_of(ref: TenantRef, job_id: UUID) -> Job:
    with in_tenant(ref):
        return Job.objects.get(pk=job_id)


def put(ref: TenantRef, mode: str, **options: object) -> UUID:
    with in_tenant(ref):
        return enqueue(work, mode=mode, marker=uuid4(), **options)  # type: ignore[arg-type]


def test_a_job_runs_once_in_its_tenant(tenant: TenantRef) -> None:
    job_id = put(tenant, "ok")
    before = len(ran)
    run_job(job_id)
    run_job(job_id)
    row = state_of(tenant, job_id)
    assert (row.state, row.attempt, row.progress) == ("completed", 1, 1.0)
    assert len(ran) == before + 1


def test_a_rolled_back_transaction_leaves_no_job(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            enqueue(work, mode="ok", marker=uuid4())
            raise ZeroDivisionError
        assert Job.objects.count() == 0


def test_a_unique_key_gives_the_waiting_job(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    a, b = two_tenants
    first, second = put(a, "ok", _unique_key="k"), put(a, "ok", _unique_key="k")
    other = put(b, "ok", _unique_key="k")
    assert first == second != other
    run_job(first)
    assert put(a, "ok", _unique_key="k") != first


@pytest.mark.parametrize(
    ("mode", "runs", "code"), [("flaky", 3, "flaky"), ("bug", 3, "job_error"), ("refused", 1, "refused")]
)
def test_failures_are_retried_as_far_as_they_deserve(
    tenant: TenantRef, drain: Callable[[TenantRef], int], mode: str, runs: int, code: str
) -> None:
    job_id = put(tenant, mode)
    assert drain(tenant) == runs
    row = state_of(tenant, job_id)
    assert (row.state, row.attempt, row.cause_code) == ("discarded", runs, code)
    assert discarded[-1] == (mode, code)


def test_a_snooze_uses_no_attempt(tenant: TenantRef, drain: Callable[[TenantRef], int]) -> None:
    job_id = put(tenant, "snooze")
    assert drain(tenant) == 2
    assert (state_of(tenant, job_id).state, state_of(tenant, job_id).attempt) == ("completed", 1)


def test_an_orphan_is_rescued_and_the_third_loss_quarantines(tenant: TenantRef) -> None:
    job_id = put(tenant, "ok")
    for loss in (1, 2, 3):
        with in_system("tests"):
            Job.objects.filter(pk=job_id).update(
                state="executing", lease_expires_at="2000-01-01T00:00:00Z", worker="gone:1", fence=loss * 10
            )
        assert rescue_orphans() == 1
        row = state_of(tenant, job_id)
        assert (row.worker_losses, row.fence, row.cause_code) == (loss, loss * 10 + 1, "worker_lost")
        assert row.state == ("quarantined" if loss == 3 else "available")


def test_cancel_and_retry(tenant: TenantRef) -> None:
    job_id = put(tenant, "ok")
    with in_tenant(tenant):
        cancel_job(job_id)
    run_job(job_id)
    assert state_of(tenant, job_id).state == "cancelled"
    with in_tenant(tenant):
        retry_job(job_id)
    run_job(job_id)
    assert state_of(tenant, job_id).state == "completed"


def test_another_tenants_job_cannot_be_touched(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    a, b = two_tenants
    job_id = put(a, "ok")
    with in_tenant(b), pytest.raises(DomainError) as refusal:
        cancel_job(job_id)
    assert refusal.value.code == "not_found"
    assert state_of(a, job_id).state == "available"
    with in_tenant(b):
        assert Job.objects.count() == 0
        assert current_tenant() == b


def test_a_request_to_cancel_survives_a_retry(tenant: TenantRef) -> None:
    job_id = put(tenant, "ok")
    with in_system("tests"):
        Job.objects.filter(pk=job_id).update(state="retryable", cancel_requested_at="2026-01-01T00:00:00Z")
    before = len(ran)
    run_job(job_id)
    assert state_of(tenant, job_id).state == "cancelled"
    assert len(ran) == before
    assert discarded[-1] == ("ok", "job_cancelled")


def test_a_retry_gives_way_to_a_job_that_waits_for_the_same(tenant: TenantRef) -> None:
    first = put(tenant, "ok", _unique_key="once")
    with in_tenant(tenant):
        cancel_job(first)
    second = put(tenant, "ok", _unique_key="once")
    with in_tenant(tenant), pytest.raises(DomainError) as refusal:
        retry_job(first)
    assert refusal.value.code == "job_not_retryable"
    assert (state_of(tenant, first).state, state_of(tenant, second).state) == ("cancelled", "available")
