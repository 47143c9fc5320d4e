"""Addresses of the pages and of their parts."""

from django.urls import path

from apps.gateway.pages.views import chat, content, documents, search, session, system

app_name = "pages"
urlpatterns = [
    path("", search.search_page, name="search"),
    path("chat/", chat.chat_page, name="chat"),
    path("ingest/", content.ingest_page, name="ingest"),
    path("ingest/runs/", content.runs_part, name="runs"),
    path("ingest/sources/", content.sources_part, name="sources"),
    path("ingest/documents/", content.documents_part, name="documents"),
    path("sources/<uuid:source_id>/resume/", content.resume, name="source-resume"),
    path("documents/<uuid:document_id>/", documents.document_page, name="document"),
    path("documents/<uuid:document_id>/retry/", documents.retry, name="document-retry"),
    path("documents/<uuid:document_id>/remove/", documents.remove, name="document-remove"),
    path("vsm/", system.vsm_page, name="vsm"),
    path("vsm/picture/", system.picture_part, name="vsm-picture"),
    path("vsm/episodes/", system.episodes_part, name="vsm-episodes"),
    path("vsm/episodes/<uuid:episode_id>/timeline/", system.timeline_part, name="vsm-timeline"),
    path("login/", session.SignIn.as_view(), name="login"),
    path("logout/", session.sign_out, name="logout"),
]
