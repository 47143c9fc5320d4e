"""Django's PostgreSQL back end, bound to one tenant at a time.

django-tenants sets search_path before every cursor. Here search_path and `app.tenant` are set together, in one
round trip, when the binding changes or the server may have dropped it (rollback, reconnect); an execute wrapper
refuses any query that the context does not allow.
"""

from collections.abc import Callable
from typing import Any

import psycopg
from django.conf import settings
from django.db.utils import DatabaseError
from django_tenants.postgresql_backend import base as tenants_base

from apps.core.tenancy import TenantRef, check_query

SET_TENANT = "SELECT set_config('search_path', %s, false), set_config('app.tenant', %s, false)"


class DatabaseWrapper(tenants_base.DatabaseWrapper):
    """One connection; `bound_tenant` is what the next query will run as."""

    bound_tenant: TenantRef | None
    search_path_set_schemas: list[str] | None
    _setting_search_path: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.bound_tenant = None
        super().__init__(*args, **kwargs)
        if settings.DATABASE_ROLE == "app":
            self.execute_wrappers.append(self._guard)

    def _guard(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not self._setting_search_path:
            check_query(self)
        return execute(sql, params, many, context)

    def bind_tenant(self, ref: TenantRef | None) -> None:
        """Run the queries that follow as `ref`; None binds nothing, so that every query is refused."""
        if ref == self.bound_tenant:
            return
        self.bound_tenant = ref
        self.schema_name = ref.schema if ref else "public"
        self.search_path_set_schemas = None

    def connect(self) -> None:
        self.search_path_set_schemas = None
        super().connect()

    def _handle_search_path(self, cursor: Any = None) -> None:
        if self._setting_search_path or self.search_path_set_schemas is not None:
            return
        paths = ",".join(tenants_base.quote_schema_name(name) for name in self._get_cursor_search_paths())
        self._setting_search_path = True
        own = self.connection.cursor() if cursor is None else cursor
        try:
            own.execute(SET_TENANT, [paths, str(self.bound_tenant.id) if self.bound_tenant else ""])
        except (DatabaseError, psycopg.Error) as error:
            self.search_path_set_schemas = None
            if not isinstance(error.__cause__ or error, psycopg.errors.InFailedSqlTransaction):
                raise  # the query that follows would run as whoever was bound before
        else:
            self.search_path_set_schemas = [self.schema_name]
        finally:
            self._setting_search_path = False
            if cursor is None:
                own.close()
