"""Who uses the platform: tenants, their domains, people, memberships and keys. Shared tables under row-level security."""

from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone
from django_tenants.models import DomainMixin, TenantMixin

from apps.core.ids import uuid7
from apps.core.tenancy import TenantRef, tenant_or_none


class TenantStatus(models.TextChoices):
    CREATING = "creating"
    ACTIVE = "active"
    SUSPENDED = "suspended"


class Tenant(TenantMixin):
    """An organisation with a schema of its own."""

    auto_create_schema = False
    auto_drop_schema = False

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=63, unique=True)
    settings = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=10, choices=TenantStatus.choices, default=TenantStatus.CREATING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name

    @property
    def ref(self) -> TenantRef:
        return TenantRef(self.id, str(self.schema_name), self.slug)


class Domain(DomainMixin):
    """A host name that belongs to one tenant."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="domains")


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser):
    """A person. Users are global; a membership gives a role in one tenant."""

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True, default="")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def current_role(self) -> str:
        """The role in the tenant in force; empty without a membership there."""
        ref = tenant_or_none()
        if ref is None:
            return ""
        if getattr(self, "_role_in", None) != ref.id:
            self._role = (
                Membership.objects.filter(user_id=self.pk, tenant_id=ref.id).values_list("role", flat=True).first()
                or ""
            )
            self._role_in = ref.id
        return self._role

    @property
    def is_staff(self) -> bool:
        return self.is_active and self.current_role in {Role.OPERATOR, Role.OWNER}

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff


class Role(models.TextChoices):
    """What a member may do; each role includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OPERATOR = "operator"
    OWNER = "owner"


class Membership(models.Model):
    """One user's role in one tenant."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role}"


class ApiKey(models.Model):
    """A key for programs. Only a hash of its secret is stored: it has 256 random bits, so a fast hash is enough."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.OPERATOR)
    prefix = models.CharField(max_length=16, unique=True)
    secret_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} (cyb_{self.prefix}_…)"


class Session(AbstractBaseSession):
    """A browser session; it belongs to the tenant it was opened in."""

    tenant_id = models.UUIDField()

    class Meta(AbstractBaseSession.Meta):
        db_table = "tenants_session"

    @classmethod
    def get_session_store_class(cls) -> type:
        from apps.tenants.session_store import SessionStore  # noqa: PLC0415  # Django's own shape for session models

        return SessionStore
