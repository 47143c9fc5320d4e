"""Schemas, roles and row-level security on the database side. Runs as the owner, on a connection of its own.

Two keys must agree on every row: the schema, and a policy that compares `app.tenant` with the row's tenant. On shared
tables that is the `tenant_id` column; in a tenant's schema it is a literal, written here. FORCE binds the owner too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from apps.core.conf import core_settings
from apps.core.tenancy import TenantRef
from apps.tenants.conf import APP_ROLE, SYSTEM_ROLE, TEMPLATE_SCHEMA
from apps.tenants.errors import OwnerUrlMissing, TemplateMissing

SETTING = "nullif(current_setting('app.tenant', true), '')::uuid"
TENANT_POLICY, SYSTEM_POLICY = "tenant_rows", "system_rows"

# What the policy compares on shared tables that have no tenant_id of their own.
SHARED_EXPRESSIONS = {
    "tenants_tenant": f"id = {SETTING}",
    "tenants_user": f"id IN (SELECT m.user_id FROM public.tenants_membership m WHERE m.tenant_id = {SETTING})",  # noqa: S608
}
MIGRATIONS_TABLE = "django_migrations"
# Shared tables without any tenant's data; the application may only read them.
READ_ONLY_SHARED = (
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
    MIGRATIONS_TABLE,
)
# Shared tables only the system role may use.
SYSTEM_ONLY = ("core_processheartbeat",)
EVENT_LOG = "core_event"
# What the application may do to shared tables that it does not simply own. An event never changes; people, memberships,
# tenants and domains are administered under the system role.
APP_RIGHTS = {
    EVENT_LOG: "SELECT, INSERT",
    "core_eventcounter": "SELECT",
    "tenants_tenant": "SELECT",
    "tenants_domain": "SELECT",
    "tenants_membership": "SELECT",
    "tenants_user": "SELECT, UPDATE (last_login, password)",
}

Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def owner_connection() -> Iterator[Connection]:
    """A transaction as the owner. Raises OwnerUrlMissing in processes that were not given its URL."""
    url = core_settings().owner_url
    if not url:
        raise OwnerUrlMissing("Set DATABASE_OWNER_URL: schemas are created as the owner, not as the application.")
    with psycopg.connect(url, options="-c lock_timeout=30s") as connection:
        yield connection


def schema_exists(connection: Connection, schema: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone() is not None


def _tables(connection: Connection, schema: str) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY relname",
        [schema],
    ).fetchall()
    return [str(row[0]) for row in rows]


def _policy(schema: str, table: str, name: str, role: str, expression: str, check: str = "") -> list[sql.Composed]:
    where = sql.Identifier(schema, table)
    body, checked = sql.SQL(expression), sql.SQL(check or expression)
    return [
        sql.SQL("DROP POLICY IF EXISTS {} ON {}").format(sql.Identifier(name), where),
        sql.SQL("CREATE POLICY {} ON {} TO {} USING ({}) WITH CHECK ({})").format(
            sql.Identifier(name), where, sql.Identifier(role), body, checked
        ),
    ]


def _force(schema: str, table: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY").format(
        sql.Identifier(schema, table)
    )


def _run(connection: Connection, statements: list[sql.Composed]) -> None:
    for statement in statements:
        connection.execute(statement)


def secure_shared_tables(connection: Connection) -> None:
    """Row-level security, policies and grants on every table of `public`; safe to repeat after each migration."""
    connection.execute(
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}, {}").format(sql.Identifier(APP_ROLE), sql.Identifier(SYSTEM_ROLE))
    )
    with_tenant = {
        str(row[0])
        for row in connection.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant_id'"
        ).fetchall()
    }
    for table in _tables(connection, "public"):
        where = sql.Identifier("public", table)
        statements = [
            sql.SQL("REVOKE ALL ON {} FROM {}, {}, PUBLIC").format(
                where, sql.Identifier(APP_ROLE), sql.Identifier(SYSTEM_ROLE)
            ),
            sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(where, sql.Identifier(SYSTEM_ROLE)),
        ]
        if table in READ_ONLY_SHARED:
            statements.append(sql.SQL("GRANT SELECT ON {} TO {}").format(where, sql.Identifier(APP_ROLE)))
        else:
            statements += [_force("public", table), *_policy("public", table, SYSTEM_POLICY, SYSTEM_ROLE, "true")]
            expression = SHARED_EXPRESSIONS.get(table, f"tenant_id = {SETTING}" if table in with_tenant else "")
            if expression and table not in SYSTEM_ONLY:
                rights = APP_RIGHTS.get(table, "SELECT, INSERT, UPDATE, DELETE")
                check = f"{expression} AND seq IS NULL" if table == EVENT_LOG else ""  # numbers are the sequencer's
                statements.append(
                    sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), where, sql.Identifier(APP_ROLE))
                )
                statements += _policy("public", table, TENANT_POLICY, APP_ROLE, expression, check)
        _run(connection, statements)
    connection.execute(
        sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}, {}").format(
            sql.Identifier(APP_ROLE), sql.Identifier(SYSTEM_ROLE)
        )
    )


def secure_tenant_schema(connection: Connection, ref: TenantRef) -> None:
    """Row-level security with this tenant's literal, and the application's grants, on every table of its schema."""
    schema, app = sql.Identifier(ref.schema), sql.Identifier(APP_ROLE)
    _run(
        connection,
        [
            sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(schema),
            sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, app),
        ],
    )
    for table in _tables(connection, ref.schema):
        where = sql.Identifier(ref.schema, table)
        if table == MIGRATIONS_TABLE:  # holds no tenant's data; the owner writes it while migrating
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(where, app))
            continue
        _run(
            connection,
            [
                _force(ref.schema, table),
                *_policy(ref.schema, table, TENANT_POLICY, APP_ROLE, f"{SETTING} = '{ref.id}'::uuid"),
                sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(where, app),
            ],
        )
    connection.execute(sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {}").format(schema, app))


def secure_template(connection: Connection) -> None:
    """The template holds no rows and nobody but the owner may open it."""
    connection.execute(sql.SQL("REVOKE ALL ON SCHEMA {} FROM PUBLIC").format(sql.Identifier(TEMPLATE_SCHEMA)))
    for table in _tables(connection, TEMPLATE_SCHEMA):
        if table != MIGRATIONS_TABLE:
            connection.execute(_force(TEMPLATE_SCHEMA, table))


def clone_template(ref: TenantRef) -> None:
    """Create the tenant's schema as an exact copy of the template, in one transaction; nothing if it exists.

    LIKE would choose its own index and constraint names, which later migrations could not find: they are made from
    their own definitions. Raises TemplateMissing.
    """
    with owner_connection() as connection:
        if schema_exists(connection, ref.schema):
            return
        if not schema_exists(connection, TEMPLATE_SCHEMA):
            raise TemplateMissing(
                "Run `manage.py migrate_all` first: it makes the schema that tenants are cloned from."
            )
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(ref.schema)))
        _copy_tables(connection, ref.schema)
        secure_tenant_schema(connection, ref)
        _compare(connection, ref.schema)


def _copy_tables(connection: Connection, schema: str) -> None:
    target = sql.Identifier(schema)
    # With only the template on the path its own names print unqualified, and resolve in the copy below.
    connection.execute(sql.SQL("SET LOCAL search_path = {}, public").format(sql.Identifier(TEMPLATE_SCHEMA)))
    tables = _tables(connection, TEMPLATE_SCHEMA)
    constraints = connection.execute(
        "SELECT c.relname, k.conname, k.contype, pg_get_constraintdef(k.oid) FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND k.contype IN ('p', 'u', 'c', 'x', 'f')"
        " ORDER BY array_position(ARRAY['p','u','x','c','f'], k.contype::text)",
        [TEMPLATE_SCHEMA],
    ).fetchall()
    indexes = connection.execute(
        "SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s"
        " AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p','u','x'))",
        [TEMPLATE_SCHEMA],
    ).fetchall()
    connection.execute(sql.SQL("SET LOCAL search_path = {}, public").format(target))
    for table in tables:
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES EXCLUDING CONSTRAINTS)").format(
                sql.Identifier(schema, table), sql.Identifier(TEMPLATE_SCHEMA, table)
            )
        )
    for table, name, _, definition in constraints:
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
                sql.Identifier(schema, str(table)),
                sql.Identifier(str(name)),
                sql.SQL(str(definition)),
            )
        )
    for (definition,) in indexes:
        moved = str(definition).replace(f" ON {TEMPLATE_SCHEMA}.", f" ON {schema}.", 1)
        connection.execute(sql.SQL(moved))
    connection.execute(
        sql.SQL("INSERT INTO {} (app, name, applied) SELECT app, name, applied FROM {} ORDER BY id").format(
            sql.Identifier(schema, "django_migrations"), sql.Identifier(TEMPLATE_SCHEMA, "django_migrations")
        )
    )


_CATALOG_SQL = """
SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index ' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind = 'i'
UNION ALL
SELECT 'constraint ' || c.relname || '.' || k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s AND k.contype <> 'n'
"""


def _compare(connection: Connection, schema: str) -> None:
    """Refuse a copy whose columns, indexes or constraints differ from the template's."""
    of_template = {row[0] for row in connection.execute(_CATALOG_SQL, {"schema": TEMPLATE_SCHEMA}).fetchall()}
    of_copy = {row[0] for row in connection.execute(_CATALOG_SQL, {"schema": schema}).fetchall()}
    if of_template != of_copy:
        raise RuntimeError(f"The copied schema differs from the template: {sorted(of_template ^ of_copy)[:10]}")
