"""API keys."""

import secrets
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from apps.core.errors import NotFound
from apps.core.tenancy import current_tenant
from apps.tenants.models import ApiKey, Role
from apps.tenants.selectors import hash_secret


def create_api_key(name: str, *, role: str = Role.OPERATOR, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """A key of the current tenant and, once, its plain text `cyb_<prefix>_<secret>`."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        tenant_id=current_tenant().id,
        name=name,
        role=role,
        prefix=prefix,
        secret_hash=hash_secret(secret),
        expires_at=expires_at,
    )
    return key, f"cyb_{prefix}_{secret}"


def revoke_api_key(key_id: UUID) -> None:
    """The key opens nothing any more, at most a few seconds later."""
    changed = ApiKey.objects.filter(pk=key_id, revoked_at__isnull=True).update(revoked_at=timezone.now())
    if not changed:
        raise NotFound(f"There is no active key {key_id}.")
