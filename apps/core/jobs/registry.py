"""Job handlers by name."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, Generic, ParamSpec

from pydantic import TypeAdapter, validate_call

P = ParamSpec("P")

QUEUES: dict[str, int] = {"default": 10, "critical": 20, "analysis": 5, "notifications": 5, "storage": 3}
"""The five queues and how many jobs each worker runs at once."""

APP_NAME = "cybernetic"


def broker_queue(queue: str) -> str:
    """The broker's name of one of our queues; prefixed, because a broker is shared."""
    return f"{APP_NAME}.{queue}"


DiscardHook = Callable[[dict[str, Any], str, str], None]


@dataclass(frozen=True)
class JobHandler(Generic[P]):
    """A registered handler. Calling it runs it here and now, which is what its tests do."""

    name: str
    function: Callable[P, None]
    queue: str
    timeout_s: int
    attempts: int
    retry_on: tuple[type[Exception], ...]
    on_discard: DiscardHook | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        self.function(*args, **kwargs)

    def run(self, args: dict[str, Any]) -> None:
        """Call the handler with JSON arguments, converted by its type hints."""
        validate_call(self.function)(**args)  # type: ignore[call-arg]  # the arguments come from JSON

    def encode(self, args: dict[str, Any]) -> dict[str, Any]:
        """Plain JSON values of the arguments; TypeError for a name the handler does not take or lacks."""
        parameters = signature(self.function).parameters
        unknown = set(args) - set(parameters)
        missing = {n for n, p in parameters.items() if p.default is Parameter.empty} - set(args)
        if unknown or missing:
            raise TypeError(f"{self.name}: unknown arguments {sorted(unknown)}, missing {sorted(missing)}.")
        return {name: TypeAdapter(Any).dump_python(value, mode="json") for name, value in args.items()}


_handlers: dict[str, JobHandler[Any]] = {}


def job(
    name: str,
    *,
    queue: str = "default",
    timeout_s: int = 60,
    attempts: int = 5,
    retry_on: tuple[type[Exception], ...] = (),
    on_discard: DiscardHook | None = None,
) -> Callable[[Callable[P, None]], JobHandler[P]]:
    """Register a keyword-only function as a job handler under `name`.

    It may run more than once, so it must be safe to run twice. `retry_on` names DomainErrors worth another attempt.
    """

    def register(function: Callable[P, None]) -> JobHandler[P]:
        if name in _handlers:
            raise TypeError(f"The job name {name!r} is taken.")
        if queue not in QUEUES:
            raise TypeError(f"{queue!r} is not one of the queues {', '.join(QUEUES)}.")
        handler = JobHandler(name, function, queue, timeout_s, attempts, retry_on, on_discard)
        _handlers[name] = handler
        return handler

    return register


def handler_for(name: str) -> JobHandler[Any] | None:
    return _handlers.get(name)


def registered_jobs() -> dict[str, JobHandler[Any]]:
    """All handlers by name."""
    return dict(_handlers)
