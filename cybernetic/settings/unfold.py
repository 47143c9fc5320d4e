"""The operator console's looks and navigation (django-unfold)."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, name: str, **more: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}"), **more}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Cybernetic console",
    "SITE_HEADER": "Cybernetic",
    "SITE_SUBHEADER": "apps.core.admin_site.tenant_label",
    "SITE_URL": "/",
    "SITE_SYMBOL": "hub",
    "SITE_ICON": lambda request: static("img/logo.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/logo.svg")}],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "6px",
    "STYLES": [lambda request: static("console/console.css")],
    "DASHBOARD_CALLBACK": "apps.vsm.dashboard.overview",
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.7)",
            "100": "oklch(95.3% .051 180.8)",
            "200": "oklch(91% .096 180.4)",
            "300": "oklch(85.5% .138 181.1)",
            "400": "oklch(77.7% .152 181.9)",
            "500": "oklch(65% .125 182.5)",
            "600": "oklch(55% .104 184.7)",
            "700": "oklch(47% .088 186.4)",
            "800": "oklch(40% .074 188.2)",
            "900": "oklch(36% .063 188.4)",
            "950": "oklch(27.7% .046 192.5)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "command_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "",
                "items": [
                    _item("Overview", "space_dashboard", "index"),
                ],
            },
            {
                "title": "Viable system",
                "items": [
                    _item(
                        "Episodes",
                        "crisis_alert",
                        "vsm_episode_changelist",
                        badge="apps.vsm.dashboard.unresolved_badge",
                    ),
                    _item("Interventions", "back_hand", "vsm_interventionrecord_changelist"),
                    _item("Decisions", "gavel", "vsm_decision_changelist"),
                    _item("Policies", "policy", "vsm_policy_changelist"),
                    _item("Rules", "rule", "vsm_rule_changelist"),
                    _item("Audits", "fact_check", "vsm_audit_changelist"),
                    _item("System states", "monitoring", "vsm_systemstate_changelist"),
                ],
            },
            {
                "title": "Content",
                "items": [
                    _item("Sources", "rss_feed", "content_source_changelist"),
                    _item("Documents", "description", "content_document_changelist"),
                    _item("Ingest runs", "download", "content_ingestrun_changelist"),
                    _item("Containers", "deployed_code", "content_semanticcontainer_changelist"),
                    _item("Files", "folder", "storage_artifact_changelist"),
                ],
            },
            {
                "title": "Work",
                "items": [
                    _item("Jobs", "work_history", "core_job_changelist"),
                    _item("Events", "receipt_long", "core_event_changelist"),
                    _item("Subscribers", "podcasts", "core_eventcursor_changelist"),
                ],
            },
            {
                "title": "Tenant",
                "items": [
                    _item("Tenants", "domain", "tenants_tenant_changelist"),
                    _item("Hosts", "dns", "tenants_domain_changelist"),
                    _item("Members", "group", "tenants_membership_changelist"),
                    _item("People", "person", "tenants_user_changelist"),
                    _item("API keys", "key", "tenants_apikey_changelist"),
                ],
            },
        ],
    },
}
