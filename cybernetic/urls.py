"""Every bridged route. /v1/events, /v1/chat and /health/* are native: apps.gateway.asgi."""

from django.contrib import admin
from django.urls import include, path

from apps.gateway.api.openapi import openapi_json

urlpatterns = [
    path("v1/openapi.json", openapi_json, name="openapi"),
    path("v1/", include("apps.content.api.ingest_urls")),
    path("v1/", include("apps.content.api.search_urls")),
    path("v1/", include("apps.vsm.api.urls")),
    path("v1/", include("apps.gateway.api.jobs_urls")),
    path("admin/", admin.site.urls),
    path("", include("apps.gateway.pages.urls")),
]

handler400 = "apps.gateway.refusals.bad_request"
handler403 = "apps.gateway.refusals.permission_denied"
handler404 = "apps.gateway.refusals.page_not_found"
handler500 = "apps.gateway.refusals.server_error"
