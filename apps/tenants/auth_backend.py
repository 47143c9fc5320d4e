"""Password login for members of the tenant in force."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest

from apps.tenants.models import Membership, User


class MembershipBackend:
    """Knows only the current tenant's members: row-level security hides everyone else."""

    def authenticate(
        self, request: HttpRequest | None, username: str = "", password: str = "", **_: Any
    ) -> User | None:
        user = User.objects.filter(email__iexact=username.strip()).first()
        if user is None:
            User().set_password(password)  # the same work for an unknown address
            return None
        if user.is_active and user.check_password(password) and user.current_role:
            return user
        return None

    def get_user(self, user_id: UUID | str) -> User | None:
        """The user, while they are active and a member here."""
        user = User.objects.filter(pk=user_id, is_active=True).first()
        return user if user and Membership.objects.filter(user=user).exists() else None
