from django.urls import path

from apps.gateway.api.jobs_views import JobCancelView, JobListView, JobRetryView, JobView

urlpatterns = [
    path("jobs", JobListView.as_view(), name="jobs"),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
    path("jobs/<uuid:job_id>/retry", JobRetryView.as_view(), name="job-retry"),
    path("jobs/<uuid:job_id>/cancel", JobCancelView.as_view(), name="job-cancel"),
]
