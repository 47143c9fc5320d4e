"""Refusals about tenants, people and keys."""

from apps.core.errors import Conflict, DomainError, NotFound


class UnknownTenant(NotFound):
    """No active tenant has this slug, id or host."""

    code = "tenant_unknown"
    title = "No such tenant"


class SlugTaken(Conflict):
    code = "tenant_slug_taken"


class InvalidCredentials(DomainError):
    """The key or session does not open anything. One message for every cause."""

    code = "token_invalid"
    status = 401
    title = "Not authenticated"


class TemplateMissing(DomainError):
    """The template schema that new tenants are cloned from has not been migrated yet."""

    code = "template_missing"
    status = 503
    title = "The platform is not set up"


class OwnerUrlMissing(DomainError):
    """Creating schemas needs the owner's connection, which web and workers do not have."""

    code = "owner_url_missing"
    status = 503
    title = "The owner's connection is needed"
