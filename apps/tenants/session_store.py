"""Sessions in PostgreSQL, visible only inside their own tenant (row-level security)."""

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore

from apps.core.tenancy import current_tenant
from apps.tenants.models import Session


class SessionStore(DatabaseStore):
    """Django's database store with the tenant on every row."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = super().create_model_instance(data)
        assert isinstance(row, Session)  # noqa: S101  # get_model_class names it
        row.tenant_id = current_tenant().id
        return row
