"""The one Celery task: it carries a job's id from the relay to a worker thread."""

from uuid import UUID

from celery import shared_task

from apps.core.jobs.execution import run_job

TASK_NAME = "jobs.run"


@shared_task(name=TASK_NAME, acks_late=True, ignore_result=True)
def run(job_id: str) -> None:
    """Execute the job if it still waits. Losing or repeating this message changes nothing."""
    run_job(UUID(job_id))
