"""Typed events: written with the change that caused them, numbered by the relay, read by subscribers and streams."""

from apps.core.events.base import Event, StoredEvent, event_class, registered_events
from apps.core.events.log import publish
from apps.core.events.subscribers import subscriber
from apps.core.events.topics import TopicInvalid, parse_topics, topic_matches

__all__ = [
    "Event",
    "StoredEvent",
    "TopicInvalid",
    "event_class",
    "parse_topics",
    "publish",
    "registered_events",
    "subscriber",
    "topic_matches",
]
