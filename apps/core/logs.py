"""Log lines that say for whom."""

import logging

from apps.core.tenancy import tenant_or_none


class TenantFilter(logging.Filter):
    """Adds the tenant's slug (or `-`) to every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        ref = tenant_or_none()
        record.tenant = ref.slug if ref else "-"
        return True
