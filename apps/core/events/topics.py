"""Topic patterns: an exact name, `noun.*`, or `*`."""

import re
from functools import lru_cache

from apps.core.errors import DomainError

MAX_TOPICS = 50
_PATTERN = re.compile(r"\*|[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*(?:\.\*)?")


class TopicInvalid(DomainError):
    """A topic pattern is malformed, or there are too many."""

    code = "topic_invalid"
    status = 400
    title = "Topics not understood"


class TooManyTopics(TopicInvalid):
    code = "topics_too_many"


def parse_topics(raw: str) -> tuple[str, ...]:
    """Patterns from a comma-separated list. Raises TopicInvalid for an empty list, a bad pattern or more than 50."""
    parts = tuple(dict.fromkeys(part.strip() for part in raw.split(",")))
    if len(parts) > MAX_TOPICS:
        raise TooManyTopics(f"At most {MAX_TOPICS} topics can be named, not {len(parts)}.")
    for part in parts:
        if not _PATTERN.fullmatch(part) or len(part) > 100:
            raise TopicInvalid(f"{part[:100]!r} is not a topic: use a name like document.indexed, document.* or *.")
    return parts


@lru_cache(maxsize=4096)
def topic_matches(pattern: str, name: str) -> bool:
    """Whether an event called `name` falls under `pattern`."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return name.startswith(pattern[:-1])
    return pattern == name
