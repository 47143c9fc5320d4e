"""The tenant in the operator console: itself, its hosts, members and keys. Row-level security shows no one else's."""

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from apps.core.admin_site import OperatorModelAdmin, command, label, operator_site, preformatted
from apps.tenants.models import ApiKey, Domain, Membership, Tenant, TenantStatus, User
from apps.tenants.services import revoke_api_key

STATUS_COLOURS = {TenantStatus.ACTIVE: "success", TenantStatus.CREATING: "info", TenantStatus.SUSPENDED: "danger"}


@admin.register(Tenant, site=operator_site)
class TenantAdmin(OperatorModelAdmin):
    list_display = ("name", "slug", "status_label", "hosts", "members", "created_at")
    search_fields = ("name", "slug")
    fields = ("name", "slug", "status", "schema_name", "hosts", "members", "options", "created_at", "updated_at", "id")
    readonly_fields = ("hosts", "members", "options", "id")

    @label("Status", STATUS_COLOURS)
    def status_label(self, row: Tenant) -> str:
        return row.status

    @admin.display(description="Hosts")
    def hosts(self, row: Tenant) -> str:
        return ", ".join(row.domains.order_by("domain").values_list("domain", flat=True))

    @admin.display(description="Members")
    def members(self, row: Tenant) -> int:
        return int(row.memberships.count())

    @admin.display(description="Settings")
    def options(self, row: Tenant) -> SafeString:
        return preformatted(json.dumps(row.settings, indent=2))


@admin.register(Domain, site=operator_site)
class DomainAdmin(OperatorModelAdmin):
    list_display = ("domain", "is_primary")
    search_fields = ("domain",)
    uuid_search_fields = ("tenant_id",)
    fields = ("domain", "is_primary")


@admin.register(Membership, site=operator_site)
class MembershipAdmin(OperatorModelAdmin):
    list_display = ("user", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name")
    uuid_search_fields = ("id", "user_id")
    fields = ("user", "role", "created_at")


@admin.register(User, site=operator_site)
class UserAdmin(OperatorModelAdmin):
    """The members as people; passwords are set by `manage.py tenant` and never shown."""

    list_display = ("email", "name", "is_active", "last_login", "created_at")
    list_filter = ("is_active",)
    search_fields = ("email", "name")
    fields = ("email", "name", "is_active", "last_login", "created_at")


@admin.register(ApiKey, site=operator_site)
class ApiKeyAdmin(OperatorModelAdmin):
    """Keys are made by `manage.py api_key create`, which shows the secret once; owners revoke them here."""

    list_display = ("name", "shown_prefix", "role", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("role",)
    search_fields = ("name", "prefix")
    fields = ("name", "shown_prefix", "role", "created_at", "last_used_at", "expires_at", "revoked_at")
    readonly_fields = ("shown_prefix",)
    actions = ("revoke_selected",)
    actions_detail = ("revoke_one",)

    @admin.display(description="Key")
    def shown_prefix(self, row: ApiKey) -> str:
        return f"cyb_{row.prefix}_…"

    @admin.action(description="Revoke", permissions=["own"])
    def revoke_selected(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        self.act_on_each(request, rows, "Revoked", lambda row: revoke_api_key(row.pk))

    @command(
        "Revoke",
        question="Revoke this key?",
        explanation="Whatever uses it stops working within seconds, for good.",
        permission="own",
    )
    def revoke_one(self, request: HttpRequest, form: Form, object_id: str) -> HttpResponse:
        return self.act_on_one(request, object_id, "Revoked", lambda row: revoke_api_key(row.pk))
