from django.urls import path

from apps.content.api import ingest_views

urlpatterns = [
    path("ingest", ingest_views.IngestView.as_view()),
    path("ingest/runs", ingest_views.RunsView.as_view()),
    path("ingest/runs/<uuid:run_id>", ingest_views.RunView.as_view()),
    path("ingest/runs/<uuid:run_id>/cancel", ingest_views.CancelRunView.as_view()),
    path("documents", ingest_views.DocumentsView.as_view()),
    path("documents/<uuid:document_id>", ingest_views.DocumentView.as_view()),
    path("documents/<uuid:document_id>/content", ingest_views.DocumentContentView.as_view()),
    path("documents/<uuid:document_id>/retry", ingest_views.RetryDocumentView.as_view()),
    path("sources", ingest_views.SourcesView.as_view()),
    path("sources/<uuid:source_id>/pause", ingest_views.PauseSourceView.as_view()),
    path("sources/<uuid:source_id>/resume", ingest_views.ResumeSourceView.as_view()),
]
