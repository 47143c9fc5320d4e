"""Reads: which tenant, and who is asking. Resolution needs the system role; results are cached for seconds."""

import hashlib
import hmac
import threading
import time
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from apps.core.tenancy import TenantRef, in_system
from apps.tenants.conf import HOST_CACHE_S, KEY_CACHE_S
from apps.tenants.errors import InvalidCredentials, UnknownTenant
from apps.tenants.models import ApiKey, Domain, Role, Tenant, TenantStatus

ROLE_RANK = {Role.VIEWER: 1, Role.EDITOR: 2, Role.OPERATOR: 3, Role.OWNER: 4}
CACHE_LIMIT = 10_000


def hash_secret(secret: str) -> str:
    """SHA-256 of a 256-bit random secret, in hex: a fast hash is enough for that much entropy."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: a key or a user, in one tenant, with one role."""

    kind: str
    id: UUID
    tenant: TenantRef
    role: str
    label: str

    @property
    def owner(self) -> str:
        """Who owns what this principal makes: unlike the label it never changes and is unique."""
        return f"{self.kind}:{self.id}"

    def has_role(self, needed: str) -> bool:
        """Whether the role includes `needed`."""
        return ROLE_RANK.get(Role(self.role), 0) >= ROLE_RANK[Role(needed)] if self.role else False


class _HostCache:
    """Host -> tenant of this process, for HOST_CACHE_S; holds plain values, never rows."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, TenantRef | None]] = {}
        self._lock = threading.Lock()

    def get(self, host: str) -> tuple[bool, TenantRef | None]:
        entry = self._entries.get(host)
        if entry is None or entry[0] < time.monotonic():
            return False, None
        return True, entry[1]

    def put(self, host: str, ref: TenantRef | None) -> None:
        with self._lock:
            if len(self._entries) >= CACHE_LIMIT:
                self._entries.clear()
            self._entries[host] = (time.monotonic() + HOST_CACHE_S, ref)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


_hosts = _HostCache()
_keys: dict[str, tuple[float, Principal]] = {}


def forget_hosts() -> None:
    """Drop this process's cached hosts."""
    _hosts.clear()


def normalise_host(host: str) -> str:
    """Lower case, without port and trailing dot; IPv6 literals keep their brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def tenant_for_host(host: str) -> TenantRef | None:
    """The active tenant that registered `host`, or None."""
    name = normalise_host(host)
    found, ref = _hosts.get(name)
    if found:
        return ref
    with in_system("host resolution"):
        row = Domain.objects.select_related("tenant").filter(domain=name, tenant__status=TenantStatus.ACTIVE).first()
    ref = row.tenant.ref if row else None
    _hosts.put(name, ref)
    return ref


def principal_for_key(raw: str) -> Principal:
    """Who holds this API key. Raises InvalidCredentials, the same for a bad form, id, secret, expiry or revocation."""
    cache_key = hash_secret(raw)
    from_cache = _keys.get(cache_key)
    if from_cache and from_cache[0] > time.monotonic():
        return from_cache[1]
    kind, _, rest = raw.partition("_")
    prefix, _, secret = rest.partition("_")
    with in_system("key resolution"):
        key = (
            ApiKey.objects.select_related("tenant").filter(prefix=prefix, tenant__status=TenantStatus.ACTIVE).first()
            if kind == "cyb"
            else None
        )
        given = hash_secret(secret)
        known = hmac.compare_digest(given, key.secret_hash if key else hash_secret(""))
        now = timezone.now()
        if key is None or not known or key.revoked_at or (key.expires_at and key.expires_at <= now):
            raise InvalidCredentials("The credentials are not valid.")
        if key.last_used_at is None or (now - key.last_used_at).total_seconds() > 60:
            ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    principal = Principal("key", key.id, key.tenant.ref, key.role, f"key:{key.name}")
    if len(_keys) >= CACHE_LIMIT:
        _keys.clear()
    _keys[cache_key] = (time.monotonic() + KEY_CACHE_S, principal)
    return principal


def tenant_by_slug(slug: str) -> TenantRef:
    """The active tenant called `slug`. Raises UnknownTenant."""
    with in_system("tenant lookup"):
        row = Tenant.objects.filter(slug=slug, status=TenantStatus.ACTIVE).first()
    if row is None:
        raise UnknownTenant(f"There is no active tenant {slug!r}. `manage.py tenant list` shows them.")
    ref: TenantRef = row.ref
    return ref


def tenant_by_id(tenant_id: UUID) -> TenantRef:
    """The active tenant with this id. Raises UnknownTenant."""
    with in_system("tenant lookup"):
        row = Tenant.objects.filter(pk=tenant_id, status=TenantStatus.ACTIVE).first()
    if row is None:
        raise UnknownTenant("There is no such active tenant.")
    ref: TenantRef = row.ref
    return ref


def active_tenants() -> list[TenantRef]:
    """All active tenants."""
    with in_system("tenant lookup"):
        return [row.ref for row in Tenant.objects.filter(status=TenantStatus.ACTIVE).order_by("id")]
