"""Writes to tenants, people and keys."""

from apps.tenants.services.keys import create_api_key, revoke_api_key
from apps.tenants.services.people import add_member, create_user, set_password
from apps.tenants.services.tenants import add_domain, create_tenant, on_tenant_created

__all__ = [
    "add_domain",
    "add_member",
    "create_api_key",
    "create_tenant",
    "create_user",
    "on_tenant_created",
    "revoke_api_key",
    "set_password",
]
