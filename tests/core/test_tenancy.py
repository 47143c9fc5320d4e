"""The context guard and row-level security, as the application's own role sees them."""

import threading
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.utils import DataError, OperationalError, ProgrammingError

from apps.content.models import Source
from apps.core.models import Event, Job
from apps.core.tenancy import NoTenant, TenantMismatch, TenantRef, in_system, in_tenant
from apps.tenants.models import Tenant, User
from apps.tenants.services import add_member, create_user

Two = tuple[TenantRef, TenantRef]


def add_source(ref: TenantRef, name: str) -> None:
    with in_tenant(ref):
        Source.objects.create(kind="upload", name=name, uri=f"upload:{name}")


def test_a_query_without_a_tenant_is_refused() -> None:
    with pytest.raises(NoTenant):
        Source.objects.count()


def test_a_query_on_another_thread_without_a_tenant_is_refused(tenant: TenantRef) -> None:
    seen: list[BaseException] = []

    def other() -> None:
        try:
            Source.objects.count()
        except NoTenant as error:
            seen.append(error)

    with in_tenant(tenant):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(seen) == 1


def test_each_tenant_sees_its_own_rows(two_tenants: Two) -> None:
    a, b = two_tenants
    add_source(a, "canary-a")
    add_source(b, "canary-b")
    with in_tenant(a):
        assert list(Source.objects.values_list("name", flat=True)) == ["canary-a"]
        with in_tenant(b):
            assert list(Source.objects.values_list("name", flat=True)) == ["canary-b"]
        assert list(Source.objects.values_list("name", flat=True)) == ["canary-a"]


def test_another_schema_named_outright_shows_nothing(two_tenants: Two) -> None:
    a, b = two_tenants
    add_source(b, "canary-b")
    with in_tenant(a), connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{b.schema}".content_source')
        assert cursor.fetchone() == (0,)
        with pytest.raises(ProgrammingError), transaction.atomic():
            cursor.execute(
                f'INSERT INTO "{b.schema}".content_source (id, kind, name, uri, state, pause_reason, created_at)'
                " VALUES (%s, 'web', 'x', 'x', 'active', '', now())",
                [uuid4()],
            )


def test_the_shared_tables_show_one_tenant(two_tenants: Two) -> None:
    a, b = two_tenants
    with in_tenant(a):
        assert [t.id for t in Tenant.objects.all()] == [a.id]
        assert not Tenant.objects.filter(pk=b.id).exists()
        assert not User.objects.exists()
        with pytest.raises(ProgrammingError), transaction.atomic():
            Job.objects.create(tenant_id=b.id, queue="default", name="x", correlation_id=uuid4())


def test_the_event_log_cannot_be_changed(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        row = Event.objects.create(tenant_id=tenant.id, name="x.tested", payload={}, correlation_id=uuid4())
        with pytest.raises(ProgrammingError), transaction.atomic():
            Event.objects.filter(pk=row.pk).update(name="y.tested")
        with pytest.raises(ProgrammingError), transaction.atomic():
            Event.objects.filter(pk=row.pk).delete()
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("TRUNCATE core_event")


def test_a_tenant_cannot_be_entered_inside_anothers_transaction(two_tenants: Two) -> None:
    a, b = two_tenants
    with in_tenant(a), transaction.atomic(), pytest.raises(TenantMismatch), in_tenant(b):
        pass


def test_the_binding_survives_a_rollback(two_tenants: Two) -> None:
    a, b = two_tenants
    add_source(b, "canary-b")
    with in_tenant(b):
        assert Source.objects.count() == 1
    with in_tenant(a):
        with pytest.raises(DataError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1/0")
        assert Source.objects.count() == 0


def test_every_table_is_under_forced_row_level_security(tenant: TenantRef) -> None:
    with in_tenant(tenant), connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname IN (%s, 'public') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
            " AND c.relname NOT IN ('django_content_type', 'auth_permission', 'auth_group', 'auth_group_permissions',"
            " 'django_migrations')",
            [tenant.schema],
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT rolname FROM pg_roles WHERE rolname IN ('cybernetic_app', 'cybernetic_system')"
            " AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb)"
        )
        assert cursor.fetchall() == []


def test_the_system_role_is_refused_in_a_tenants_schema(tenant: TenantRef) -> None:
    with in_system("tests"), pytest.raises(ProgrammingError), transaction.atomic(using="system"):
        list(Source.objects.raw(f'SELECT * FROM "{tenant.schema}".content_source'))


def test_a_switch_that_fails_sends_no_query(two_tenants: Two) -> None:
    """If the statement that binds the tenant fails, the query must not run as whoever was bound before."""
    a, b = two_tenants
    add_source(a, "canary-a")
    with in_tenant(a):
        assert Source.objects.count() == 1
        raw = connection.connection
        raw.execute("SET statement_timeout = 1")
    with in_tenant(b), pytest.MonkeyPatch.context() as patch:
        patch.setattr("apps.core.postgres.base.SET_TENANT", "SELECT pg_sleep(1), %s::text, %s::text")
        with pytest.raises(OperationalError):
            Source.objects.count()
    raw.execute("RESET statement_timeout")
    with in_tenant(b):
        assert Source.objects.count() == 0


def test_people_and_tenants_are_not_the_applications_to_change(two_tenants: Two) -> None:
    a, b = two_tenants
    owner = create_user(f"{b.slug}@example.org", "a long enough password")
    add_member(b, owner, "owner")
    with in_tenant(a):
        for statement, values in (
            (
                "INSERT INTO tenants_membership (id, tenant_id, user_id, role, created_at) VALUES (%s, %s, %s, 'owner', now())",
                [uuid4(), a.id, owner.pk],
            ),
            ("UPDATE tenants_tenant SET schema_name = %s", [b.schema]),
            ("INSERT INTO tenants_domain (domain, is_primary, tenant_id) VALUES ('evil.example', false, %s)", [a.id]),
            ("UPDATE tenants_user SET email = 'x@example.org'", []),
            (
                "INSERT INTO core_event (id, tenant_id, seq, name, payload, schema_version, correlation_id, occurred_at)"
                " VALUES (%s, %s, 1, 'x.y', '{}', 1, %s, now())",
                [uuid4(), a.id, uuid4()],
            ),
        ):
            with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(statement, values)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tenants_user SET password = 'x'")
            assert cursor.rowcount == 0
