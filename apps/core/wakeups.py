"""Wake-ups over Valkey: a hint that rows are waiting. Losing one costs at most the next poll (1 s)."""

import logging
from functools import cache

from django.db import transaction
from redis import Redis
from redis.exceptions import RedisError

from apps.core.conf import core_settings
from apps.core.tenancy import alias_in_force

CHANNEL_WORK = "cybernetic:work"
CHANNEL_EVENTS = "cybernetic:events"

log = logging.getLogger(__name__)


@cache
def valkey() -> Redis:
    """This process's client; connections are made on first use and short time-outs keep a dead server cheap."""
    return Redis.from_url(core_settings().redis_url, socket_timeout=2, socket_connect_timeout=1)


def wake(channel: str) -> None:
    """Tell whoever listens on `channel`; a missing server is logged and forgotten."""
    try:
        valkey().publish(channel, b"1")
    except RedisError as error:
        log.warning("wake-up on %s not sent: %s", channel, error)


def wake_relay() -> None:
    wake(CHANNEL_WORK)


def wake_relay_on_commit() -> None:
    """One wake-up after the transaction in force, however often this is called in it."""
    connection = transaction.get_connection(alias_in_force())
    if any(hook[1] is wake_relay for hook in connection.run_on_commit):
        return
    transaction.on_commit(wake_relay, using=connection.alias)
