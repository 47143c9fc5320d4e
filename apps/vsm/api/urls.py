from django.urls import path

from apps.vsm.api import views

urlpatterns = [
    path("systems", views.SystemsView.as_view()),
    path("episodes", views.EpisodesView.as_view()),
    path("episodes/<uuid:episode_id>", views.EpisodeView.as_view()),
    path("episodes/<uuid:episode_id>/resolve", views.ResolveEpisodeView.as_view()),
    path("policies", views.PoliciesView.as_view()),
    path("rules", views.RulesView.as_view()),
]
