"""Stored files in the operator console."""

import json

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.core.admin_site import OperatorModelAdmin, operator_site, preformatted
from apps.storage.models import Artifact


@admin.register(Artifact, site=operator_site)
class ArtifactAdmin(OperatorModelAdmin):
    list_display = ("path", "content_type", "size_bytes", "backend", "created_at", "expires_at")
    list_filter = ("content_type", "backend")
    search_fields = ("path", "checksum")
    fields = ("path", "content_type", "size_bytes", "checksum", "backend", "details", "created_at", "expires_at", "id")
    readonly_fields = ("details", "created_at", "id")

    @admin.display(description="Metadata")
    def details(self, row: Artifact) -> SafeString:
        return preformatted(json.dumps(row.metadata, indent=2))
