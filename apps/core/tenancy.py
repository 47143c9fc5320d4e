"""Which tenant this code acts for: the only module that enters and leaves one.

`in_tenant` binds the ContextVar and the database connection (schema and setting) together; `in_system` is the
only other door, with its own database role. Any query outside both raises NoTenant.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import connections, transaction

if TYPE_CHECKING:
    from apps.core.postgres.base import DatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

TENANT_ALIAS = "default"
SYSTEM_ALIAS = "system"
SCHEMA_PREFIX = "t_"

log = logging.getLogger(__name__)


class NoTenant(RuntimeError):
    """Code that needs a tenant ran outside every tenant. Never falls back to the public schema."""


class TenantMismatch(RuntimeError):
    """The context names one tenant and the connection another: the query was not sent."""


@dataclass(frozen=True, slots=True)
class TenantRef:
    """A tenant by value: its id, the schema that holds its tables, and its slug for paths and log lines."""

    id: UUID
    schema: str
    slug: str


_tenant: ContextVar[TenantRef | None] = ContextVar("tenant", default=None)
_system: ContextVar[str | None] = ContextVar("system_reason", default=None)
system_uses: Counter[str] = Counter()


def current_tenant() -> TenantRef:
    """The tenant in force. Raises NoTenant outside `in_tenant`."""
    ref = _tenant.get()
    if ref is None:
        raise NoTenant("No tenant is in force: enter one with in_tenant().")
    return ref


def tenant_or_none() -> TenantRef | None:
    """The tenant in force, for log lines and error pages that exist without one too."""
    return _tenant.get()


def system_reason() -> str | None:
    """Why the system role is in force, or None."""
    return _system.get()


def _connection(alias: str) -> "DatabaseWrapper":
    return cast("DatabaseWrapper", connections[alias])


@contextmanager
def in_tenant(ref: TenantRef) -> Iterator[None]:
    """Act for `ref` until the block ends. Sync only: enter and leave inside one function.

    Raises TenantMismatch when another tenant's transaction is still open on this thread's connection.
    """
    connection = _connection(TENANT_ALIAS)
    before = connection.bound_tenant
    if connection.in_atomic_block and before != ref:
        raise TenantMismatch("Another tenant's transaction is open on this connection.")
    tenant_token, system_token = _tenant.set(ref), _system.set(None)
    connection.bind_tenant(ref)
    try:
        yield
    finally:
        connection.bind_tenant(before)
        _system.reset(system_token)
        _tenant.reset(tenant_token)


@contextmanager
def in_system(reason: str) -> Iterator[None]:
    """Use the system role: host and key resolution, relay, scheduler, pruner, metrics and operator lists.

    `reason` is a short constant; each use is counted under it.
    """
    system_uses[reason] += 1
    log.debug("system role: %s", reason)
    token = _system.set(reason)
    try:
        yield
    finally:
        _system.reset(token)


def alias_in_force() -> str:
    """The database alias that plain ORM calls use here."""
    return SYSTEM_ALIAS if _system.get() is not None else TENANT_ALIAS


def atomic() -> AbstractContextManager[Any]:
    """`transaction.atomic` on the alias in force."""
    return transaction.atomic(using=alias_in_force())


async def run_in_tenant(ref: TenantRef, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a sync function inside `ref` on a pooled thread, from async code."""

    def scoped() -> T:
        with in_tenant(ref):
            return fn(*args, **kwargs)

    return cast("T", await database_sync_to_async(scoped, thread_sensitive=False)())


async def run_in_system(reason: str, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a sync function inside `in_system(reason)` on a pooled thread, from async code."""

    def scoped() -> T:
        with in_system(reason):
            return fn(*args, **kwargs)

    return cast("T", await database_sync_to_async(scoped, thread_sensitive=False)())


def check_query(connection: "DatabaseWrapper") -> None:
    """Raise unless the context allows a query on this connection, as it stands now."""
    if connection.alias == SYSTEM_ALIAS:
        if _system.get() is None:
            raise NoTenant("The system role is used outside in_system().")
        return
    ref = _tenant.get()
    if ref is None:
        raise NoTenant("A query ran outside every tenant: enter one with in_tenant().")
    if connection.bound_tenant != ref or connection.schema_name != ref.schema:
        raise TenantMismatch("The connection is bound to another tenant than the context.")


class AliasRouter:
    """Sends ORM calls to the alias in force; relations between the two aliases are one database."""

    def db_for_read(self, model: type, **hints: object) -> str:
        return alias_in_force()

    def db_for_write(self, model: type, **hints: object) -> str:
        return alias_in_force()

    def allow_relation(self, obj1: object, obj2: object, **hints: object) -> bool:
        return True
