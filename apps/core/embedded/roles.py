"""Database roles: migrations own; the application and the system door are unprivileged, so row security binds them."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from apps.core.embedded.errors import StartFailed

ADMIN, OWNER, APP, SYSTEM = "cybernetic_admin", "cybernetic_owner", "cybernetic_app", "cybernetic_system"
DATABASE = "cybernetic"


@dataclass(frozen=True, repr=False)
class RolePasswords:
    """What the three roles log in with."""

    owner: str
    app: str
    system: str


def ensure_roles(admin_dsn: str, passwords: RolePasswords) -> None:
    """Create or correct the three roles, and the `vector` extension in the database of `admin_dsn`. Safe to repeat.

    The owner may create schemas there; the other two may connect and see schema public, migrations grant the rest.
    Raises StartFailed when that user may not create roles or extensions.
    """
    if not admin_dsn.startswith(("postgresql://", "postgres://")):
        raise StartFailed("DATABASE_URL must look like postgresql://USER:PASSWORD@HOST:PORT/NAME.")
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=10) as connection:
            _ensure_roles(connection, passwords)
            _ensure_extension(connection)
            _let_text_search_use_its_index(connection)
            _grant(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StartFailed(
            f"The user of DATABASE_URL may not prepare the database ({error.diag.message_primary}): "
            "give it CREATEROLE and ownership of the database, and have `create extension vector` run there once."
        ) from error
    except psycopg.errors.FeatureNotSupported as error:
        raise StartFailed(
            f"The database server has no pgvector ({error.diag.message_primary}): install it there."
        ) from error
    except psycopg.OperationalError as error:
        raise StartFailed(
            f"The database of DATABASE_URL does not answer: {str(error).strip().splitlines()[0]}"
        ) from error


def ensure_embedded_database(
    admin_dsn: str, passwords: RolePasswords, *, owner_creates_databases: bool = False
) -> None:
    """Prepare the embedded server: `vector` in template1, the roles, and the database `cybernetic`."""
    with psycopg.connect(admin_dsn, dbname="template1", autocommit=True) as connection:
        _ensure_extension(connection)
        _ensure_roles(connection, passwords)
    with psycopg.connect(admin_dsn, dbname="postgres", autocommit=True) as connection:
        name = sql.Identifier(DATABASE)
        if connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(sql.SQL("create database {} owner {}").format(name, sql.Identifier(OWNER)))
        connection.execute(sql.SQL("revoke all on database {} from public").format(name))
        if owner_creates_databases:
            connection.execute(sql.SQL("alter role {} createdb").format(sql.Identifier(OWNER)))
    with psycopg.connect(admin_dsn, dbname=DATABASE, autocommit=True) as connection:
        _let_text_search_use_its_index(connection)
        _grant(connection)


def _ensure_roles(connection: psycopg.Connection, passwords: RolePasswords) -> None:
    for name, password in ((OWNER, passwords.owner), (APP, passwords.app), (SYSTEM, passwords.system)):
        role = sql.Identifier(name)
        # The verifier is made here, so the password itself is in no statement and no server log.
        verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
        if connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("create role {}").format(role))
        connection.execute(sql.SQL("alter role {} login password {}").format(role, sql.Literal(verifier)))
    unsafe = connection.execute(
        "select rolname from pg_roles where rolname = any(%s) and (rolsuper or rolbypassrls or rolreplication)",
        [[OWNER, APP, SYSTEM]],
    ).fetchone()
    if unsafe is not None:
        raise StartFailed(
            f"The role {unsafe[0]} bypasses row-level security there: "
            f"`alter role {unsafe[0]} nosuperuser nobypassrls noreplication`."
        )


def _ensure_extension(connection: psycopg.Connection) -> None:
    if connection.execute("select 1 from pg_extension where extname = 'vector'").fetchone() is None:
        connection.execute("create extension vector schema public")


def _let_text_search_use_its_index(connection: psycopg.Connection) -> None:
    """Under row-level security only leakproof operators may use an index before the policy (docs/adr/0005).

    Needs a superuser; without one full text is found by a sequential scan.
    """
    superuser = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if superuser is not None and superuser[0]:
        connection.execute("alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof cost 100")


def _grant(connection: psycopg.Connection) -> None:
    owner, others = sql.Identifier(OWNER), sql.SQL(", ").join([sql.Identifier(APP), sql.Identifier(SYSTEM)])
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("grant connect, create, temporary on database {} to {}").format(database, owner))
    connection.execute(sql.SQL("grant connect on database {} to {}").format(database, others))
    connection.execute(sql.SQL("grant usage, create on schema public to {}").format(owner))
    connection.execute(sql.SQL("grant usage on schema public to {}").format(others))
