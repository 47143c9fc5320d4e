from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Tenants, domains, users, memberships, keys."""

    name = "apps.tenants"
    verbose_name = "Tenants"
