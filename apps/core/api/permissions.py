"""Roles: viewer < editor < operator < owner. A view states the role each method needs."""

from typing import Any, ClassVar, Protocol, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

ROLES = ("viewer", "editor", "operator", "owner")


class HasRole(Protocol):
    """What permissions need of a principal."""

    @property
    def role(self) -> str: ...


def role_allows(held: str, needed: str) -> bool:
    """Whether `held` includes everything `needed` may do. An unknown held role allows nothing."""
    return held in ROLES and ROLES.index(held) >= ROLES.index(needed)


def _holds(request: Request, needed: str) -> bool:
    principal = cast("HasRole | None", request.user)  # our authentication classes give principals, not users
    return principal is not None and role_allows(principal.role, needed)


class RequiresRole(BasePermission):
    """`role` for every method, unless the view says otherwise in `roles = {"POST": "operator"}`."""

    role: ClassVar[str] = "viewer"

    def has_permission(self, request: Request, view: Any) -> bool:
        return _holds(request, getattr(view, "roles", {}).get(request.method or "", self.role))


class IsMember(RequiresRole):
    """Any role of the tenant."""


class RequiresEditor(RequiresRole):
    role = "editor"


class RequiresOperator(RequiresRole):
    role = "operator"


class RequiresOwner(RequiresRole):
    role = "owner"


class ReadsOrRequiresRole(RequiresRole):
    """Viewers read; `role` writes."""

    role = "editor"

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return _holds(request, "viewer")
        return super().has_permission(request, view)


class ReadsOrRequiresEditor(ReadsOrRequiresRole):
    role = "editor"


class ReadsOrRequiresOperator(ReadsOrRequiresRole):
    role = "operator"
