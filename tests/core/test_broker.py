"""A wake-up sent by a management command's process reaches a worker's queue: both declare the same queues."""

from celery import current_app

from apps.core.conf import core_settings
from apps.core.jobs import QUEUES
from apps.core.jobs.broker import configure_celery


def test_every_process_settles_on_one_app_and_its_queues() -> None:
    assert current_app.main == "cybernetic"
    assert {queue.name for queue in current_app.conf.task_queues} == {f"cybernetic.{name}" for name in QUEUES}
    assert current_app.conf.task_acks_late
    assert current_app.conf.beat_schedule["vsm.observe_systems"]["options"]["queue"] == "cybernetic.critical"


def test_queues_are_quorum_queues_with_a_limit_on_rabbitmq_only() -> None:
    core = core_settings()
    try:
        app = configure_celery(broker_url="amqp://guest:guest@localhost//", data_dir=core.data_dir)
        assert [q.queue_arguments for q in app.conf.task_queues] == [
            {"x-queue-type": "quorum", "x-delivery-limit": 20}
        ] * len(QUEUES)
        assert app.conf.broker_transport_options == {"confirm_publish": True}
    finally:
        app = configure_celery(broker_url=core.broker_url, data_dir=core.data_dir)
    assert [q.queue_arguments for q in app.conf.task_queues] == [None] * len(QUEUES)
