"""A filter that is left out filters nothing."""

import json

import pytest
from django.test import Client

from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.services import create_api_key
from apps.vsm.models import Policy


@pytest.mark.parametrize(("query", "shown"), [("", 2), ("?active=true", 1), ("?active=false", 1)])
def test_policies_show_all_unless_asked(query: str, shown: int, tenant: TenantRef) -> None:
    with in_tenant(tenant):
        key = create_api_key("test", role="viewer")[1]
        first = Policy.objects.get()
        Policy.objects.create(name="other", version=1, rules=first.rules, active=False)
    answer = Client().get(
        f"/v1/policies{query}", headers={"Host": f"{tenant.slug}.localhost", "Authorization": f"Bearer {key}"}
    )
    assert len(json.loads(answer.content)["results"]) == shown
