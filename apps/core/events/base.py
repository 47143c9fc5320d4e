"""The event class and its registry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

_registry: dict[str, type["Event"]] = {}


class Event(BaseModel):
    """Something that happened. Subclasses set `name` (`<noun>.<past_participle>`); a name can be taken once."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        taken = _registry.get(cls.name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"The event name {cls.name!r} is taken by {taken.__module__}.{taken.__qualname__}.")
        _registry[cls.name] = cls


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the log holds it."""

    id: UUID
    name: str
    payload: dict[str, Any]
    correlation_id: UUID
    occurred_at: datetime
    seq: int


def event_class(name: str) -> type[Event]:
    """The class registered under `name`; KeyError when none is."""
    return _registry[name]


def registered_events() -> dict[str, type[Event]]:
    """All event classes by name."""
    return dict(_registry)
