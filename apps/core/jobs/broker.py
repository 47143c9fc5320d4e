"""Celery's settings: it carries job ids to worker threads; what runs, when and how often is in the job table.

Every process of the platform, whether it sends or consumes, configures its app here, so that all declare the same queues.
"""

from pathlib import Path

from celery import Celery, current_app
from kombu import Queue

from apps.core.jobs.registry import APP_NAME, QUEUES, broker_queue
from apps.core.schedules import beat_schedule

DELIVERY_LIMIT = 20


def configure_celery(*, broker_url: str, data_dir: Path) -> Celery:
    """Settle the current app, or a new one where none was made (management commands), on our broker and queues."""
    app: Celery = current_app._get_current_object()  # type: ignore[attr-defined]  # celery's proxy
    if app.main != APP_NAME:
        app = Celery(APP_NAME)
        app.set_default()
    amqp = broker_url.startswith("amqp")
    # Quorum queues survive the loss of a node; the limit stops a message that kills its consumer from coming back for ever.
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT} if amqp else None
    app.conf.update(
        broker_url=broker_url,
        task_queues=[Queue(broker_queue(name), queue_arguments=arguments) for name in QUEUES],
        task_default_queue=broker_queue("default"),
        task_create_missing_queues=False,
        task_acks_late=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_detect_quorum_queues=amqp,
        accept_content=["json"],
        task_serializer="json",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_native_delayed_delivery_queue_type="quorum",
        broker_transport_options={"confirm_publish": True}
        if amqp
        else {"visibility_timeout": 3600, "socket_timeout": 30},
        beat_schedule=beat_schedule(),
        beat_schedule_filename=str(data_dir / "beat" / "schedule"),
        timezone="UTC",
    )
    return app
