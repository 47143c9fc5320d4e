"""Users and their memberships. Users are global, so these run under the system role."""

from django.contrib.auth.hashers import make_password

from apps.core.tenancy import TenantRef, atomic, in_system
from apps.tenants.models import Membership, User


def create_user(email: str, password: str, *, name: str = "") -> User:
    """The user with this address, made if it does not exist; an existing password is left alone."""
    with in_system("user administration"), atomic():
        user, _ = User.objects.get_or_create(
            email=email.strip().lower(), defaults={"name": name, "password": make_password(password)}
        )
    return user


def set_password(email: str, password: str) -> None:
    """Replace a user's password."""
    with in_system("user administration"):
        User.objects.filter(email=email.strip().lower()).update(password=make_password(password))


def add_member(ref: TenantRef, user: User, role: str) -> None:
    """Give `user` this role in the tenant, in place of any earlier one."""
    with in_system("user administration"), atomic():
        Membership.objects.update_or_create(tenant_id=ref.id, user_id=user.pk, defaults={"role": role})
