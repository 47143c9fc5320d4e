"""Fixtures: real tenants on the suite's own servers. Nothing is rolled back: each test gets tenants of its own."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from apps.core.jobs.execution import run_job
from apps.core.models import UNFINISHED, Job
from apps.core.relay import Relay
from apps.core.tenancy import TenantRef, in_system, in_tenant
from apps.tenants.services import create_tenant
from tests.platform import Platform


@pytest.fixture(scope="session", autouse=True)
def _real_database(django_db_blocker: Any) -> Iterator[None]:
    """The suite's database is thrown away as a whole, so tests commit like the product does."""
    with django_db_blocker.unblock():
        yield
    connections.close_all()


@pytest.fixture
def make_tenant() -> Callable[[], TenantRef]:
    """Makes active tenants, each with the host `<slug>.localhost`."""

    def make() -> TenantRef:
        slug = f"t{secrets.token_hex(5)}"
        return create_tenant(slug, slug, domains=(f"{slug}.localhost",))

    return make


@pytest.fixture
def tenant(make_tenant: Callable[[], TenantRef]) -> TenantRef:
    """A new tenant; enter it with in_tenant()."""
    return make_tenant()


@pytest.fixture
def two_tenants(make_tenant: Callable[[], TenantRef]) -> tuple[TenantRef, TenantRef]:
    """Two new tenants."""
    return make_tenant(), make_tenant()


@pytest.fixture
def in_new_tenant(tenant: TenantRef) -> Iterator[TenantRef]:
    """The test body runs inside a new tenant."""
    with in_tenant(tenant):
        yield tenant


def unfinished_jobs(ref: TenantRef) -> list[UUID]:
    """Ids of the tenant's unfinished jobs, in the order the relay would send them."""
    with in_system("tests"):
        return list(
            Job.objects.filter(tenant_id=ref.id, state__in=UNFINISHED)
            .order_by("-priority", "scheduled_at")
            .values_list("id", flat=True)
        )


@pytest.fixture
def drain() -> Callable[[TenantRef], int]:
    """Runs a tenant's jobs here, through the real claim and outcome code, and delivers its events, until all is quiet.

    Delays are passed over by making waiting jobs due. Returns how many runs it took.
    """
    relay = Relay()

    def run(ref: TenantRef, *, limit: int = 500) -> int:
        runs = 0
        while runs < limit:
            with in_system("tests"):
                Job.objects.filter(tenant_id=ref.id, state__in=["scheduled", "retryable"]).update(
                    scheduled_at="2000-01-01T00:00:00Z"
                )
            waiting = unfinished_jobs(ref)
            for job_id in waiting:
                run_job(job_id)
                runs += 1
            moved = relay.number_and_deliver()
            if not waiting and not moved:
                return runs
        raise AssertionError(f"{limit} runs and the tenant is not quiet")

    return run


@pytest.fixture(scope="session")
def platform(running_platform: Platform) -> Platform:
    """The whole platform, as users have it."""
    return running_platform


@pytest.fixture(scope="session")
def running_platform() -> Iterator[Platform]:
    """Started once for all tests that need it; it may fetch from this machine."""
    running = Platform(EGRESS_ALLOW_CIDRS="127.0.0.0/8")
    try:
        yield running.start()
    finally:
        running.discard()
