"""Keys open their own tenant until they end; a tenant is active only when all of it is there."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core.tenancy import TenantRef, in_system, in_tenant
from apps.tenants.errors import InvalidCredentials, SlugTaken
from apps.tenants.models import ApiKey, Tenant
from apps.tenants.selectors import principal_for_key, tenant_for_host
from apps.tenants.services import create_api_key, create_tenant


def test_a_key_opens_its_tenant_and_its_secret_is_not_stored(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        row, plain = create_api_key("ci", role="viewer")
    principal = principal_for_key(plain)
    assert (principal.tenant, principal.role, principal.owner) == (tenant, "viewer", f"key:{row.pk}")
    assert plain.startswith(f"cyb_{row.prefix}_")
    assert plain.split("_", 2)[2] not in f"{row.secret_hash}{row.prefix}{row.name}"


def test_wrong_revoked_and_expired_keys_are_refused_alike(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        good, plain = create_api_key("good")
        revoked, revoked_plain = create_api_key("revoked")
        expired_plain = create_api_key("expired", expires_at=timezone.now() - timedelta(seconds=1))[1]
        ApiKey.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
    wrong = f"cyb_{good.prefix}_{'x' * 43}"
    said = set()
    for raw in (wrong, revoked_plain, expired_plain, "cyb_none_x", "nonsense", "", plain + "x"):
        with pytest.raises(InvalidCredentials) as refusal:
            principal_for_key(raw)
        said.add(refusal.value.detail)
    assert len(said) == 1


def test_a_creation_that_stops_halfway_is_not_active_and_can_be_resumed(tenant: TenantRef) -> None:
    slug, host = f"{tenant.slug}x", f"{tenant.slug}.localhost"
    with pytest.raises(SlugTaken):
        create_tenant(slug, domains=(host,))
    with in_system("tests"):
        assert Tenant.objects.get(slug=slug).status == "creating"
    resumed = create_tenant(slug, domains=(f"{slug}.localhost",))
    assert tenant_for_host(f"{slug.upper()}.localhost.:8000") == resumed
    assert tenant_for_host(host) == tenant
    with pytest.raises(SlugTaken):
        create_tenant(slug)
