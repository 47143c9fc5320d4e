"""Creating tenants."""

import re
import secrets
from collections.abc import Callable

from apps.core.errors import DomainError
from apps.core.models import EventCounter
from apps.core.tenancy import SCHEMA_PREFIX, TenantRef, atomic, in_system, in_tenant
from apps.tenants.errors import SlugTaken
from apps.tenants.models import Domain, Tenant, TenantStatus
from apps.tenants.schemas import clone_template
from apps.tenants.selectors import forget_hosts

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
RESERVED_SLUGS = frozenset({"www", "public", "admin", "api", "static", "template"})
_hooks: list[Callable[[], None]] = []


class SlugInvalid(DomainError):
    code = "tenant_slug_invalid"


def on_tenant_created(hook: Callable[[], None]) -> None:
    """Register what a new tenant needs from a higher layer; `hook` runs inside the new tenant and may run again."""
    _hooks.append(hook)


def create_tenant(slug: str, name: str = "", *, domains: tuple[str, ...] = ()) -> TenantRef:
    """A new active tenant in a schema cloned from the template.

    Resumes a creation that was interrupted. Raises SlugTaken, SlugInvalid, TemplateMissing, OwnerUrlMissing.
    """
    if not _SLUG.fullmatch(slug) or slug in RESERVED_SLUGS:
        raise SlugInvalid(f"{slug!r} cannot be a slug: use a-z, 0-9 and hyphens; some names are reserved.")
    with in_system("tenant creation"), atomic():
        row, created = Tenant.objects.get_or_create(
            slug=slug, defaults={"name": name or slug, "schema_name": SCHEMA_PREFIX + secrets.token_hex(8)}
        )
        if not created and row.status != TenantStatus.CREATING:
            raise SlugTaken(f"There is a tenant {slug!r} already.")
        EventCounter.objects.get_or_create(tenant_id=row.id, defaults={"epoch": secrets.token_hex(4)})
    ref: TenantRef = row.ref
    clone_template(ref)
    for domain in domains:
        add_domain(ref, domain)
    with in_tenant(ref):
        for hook in _hooks:
            hook()
    with in_system("tenant creation"), atomic():
        Tenant.objects.filter(pk=row.id).update(status=TenantStatus.ACTIVE)
    return ref


def add_domain(ref: TenantRef, domain: str) -> None:
    """Let `domain` lead to the tenant. Raises SlugTaken when it leads to another one."""
    with in_system("tenant creation"), atomic():
        row, _ = Domain.objects.get_or_create(
            domain=domain.lower().rstrip("."), defaults={"tenant_id": ref.id, "is_primary": False}
        )
        if row.tenant_id != ref.id:
            raise SlugTaken(f"The host {domain!r} belongs to another tenant.")
    forget_hosts()
