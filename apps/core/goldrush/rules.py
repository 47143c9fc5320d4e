"""The rule format and its matching. Pure: no database, no clock, no domain."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, Protocol

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from apps.core.errors import DomainError, FieldError
from apps.core.events import TopicInvalid, parse_topics, topic_matches

FIELD_PATTERN: Final = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,3}$"
MAX_THRESHOLD: Final = 10_000
MAX_WINDOW_S: Final = 7 * 24 * 3600

Scalar = StrictStr | StrictInt | StrictFloat | StrictBool
_ABSENT: Final = object()


class RuleInvalid(DomainError):
    """A rule names a field, an operator or a bound that does not exist."""

    code = "rule_invalid"
    title = "The rule is not valid"


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    EXISTS = "exists"


class Observed(Protocol):
    """What matching reads of an event; `apps.core.events.StoredEvent` is one."""

    @property
    def name(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...


class Condition(BaseModel):
    """One field compared with one value. An operator outside the closed set does not validate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Annotated[str, Field(pattern=FIELD_PATTERN)]
    op: Operator = Operator.EQ
    value: Scalar | tuple[Scalar, ...] = True

    @model_validator(mode="after")
    def _value_fits_operator(self) -> "Condition":
        is_list = isinstance(self.value, tuple)
        if self.op in {Operator.IN, Operator.NOT_IN}:
            if not is_list:
                raise ValueError(f"{self.op.value} needs a list of values")
        elif is_list:
            raise ValueError(f"{self.op.value} needs a single value")
        elif self.op is Operator.EXISTS and not isinstance(self.value, bool):
            raise ValueError("exists needs true or false")
        elif self.op in _ORDER and (isinstance(self.value, bool) or not isinstance(self.value, int | float)):
            raise ValueError(f"{self.op.value} needs a number")
        elif self.op in _TEXT and not isinstance(self.value, str):
            raise ValueError(f"{self.op.value} needs text")
        return self

    def holds(self, payload: Mapping[str, Any]) -> bool:
        """An absent field satisfies nothing but `exists: false`: what is not known is not a match."""
        actual = field_value(payload, self.field, default=_ABSENT)
        if self.op is Operator.EXISTS:
            return (actual is not _ABSENT) is self.value
        if actual is _ABSENT:
            return False
        if isinstance(self.value, tuple):
            found = any(_same(actual, value) for value in self.value)
            return found if self.op is Operator.IN else not found
        if self.op in _ORDER:
            return (
                isinstance(actual, int | float) and not isinstance(actual, bool) and _ORDER[self.op](actual, self.value)
            )
        if self.op in _TEXT:
            return isinstance(actual, str) and _TEXT[self.op](actual, str(self.value))
        return _same(actual, self.value) is (self.op is Operator.EQ)


class Rule(BaseModel):
    """`threshold` events on `pattern` within `window_s`, of one `group_by` value; then `cooldown_s` of silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,98}$")]
    pattern: str
    where: tuple[Condition, ...] = ()
    group_by: Annotated[str, Field(pattern=FIELD_PATTERN)]
    window_s: Annotated[int, Field(ge=1, le=MAX_WINDOW_S)]
    threshold: Annotated[int, Field(ge=1, le=MAX_THRESHOLD)]
    cooldown_s: Annotated[int, Field(ge=0, le=MAX_WINDOW_S)] = 0

    @field_validator("pattern")
    @classmethod
    def _one_topic(cls, value: str) -> str:
        try:
            topics = parse_topics(value)
        except TopicInvalid as error:
            raise ValueError(error.detail) from None
        if len(topics) != 1:
            raise ValueError("one topic, such as source.fetch_failed or source.*")
        return topics[0]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Rule":
        """Raises RuleInvalid, with one error per field."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise RuleInvalid("The rule is not valid.", errors=_field_errors(error)) from None


def parse_conditions(raw: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Raises RuleInvalid on the first list that holds an unknown operator or field."""
    try:
        return tuple(Condition.model_validate(item) for item in raw)
    except ValidationError as error:
        raise RuleInvalid("A condition is not valid.", errors=_field_errors(error)) from None


def matches(rule: Rule, event: Observed) -> bool:
    """True when the event is one that the rule counts: its topic, every condition, and a value to group by."""
    return (
        topic_matches(rule.pattern, event.name)
        and group_of(rule, event.payload) is not None
        and all(condition.holds(event.payload) for condition in rule.where)
    )


def group_of(rule: Rule, payload: Mapping[str, Any]) -> str | None:
    """The group's value as text, or None when the payload has none (text and whole numbers can be grouped by)."""
    value = field_value(payload, rule.group_by, default=None)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)


def field_value(payload: Mapping[str, Any], path: str, *, default: Any = None) -> Any:
    """The value at a dotted path; null counts as absent."""
    value: Any = payload
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return default
        value = value[part]
    return default if value is None else value


def _same(left: Any, right: Any) -> bool:
    """Equality without Python's True == 1."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _field_errors(error: ValidationError) -> list[FieldError]:
    return [
        FieldError(pointer="/" + "/".join(str(part) for part in item["loc"]), code=item["type"], detail=item["msg"])
        for item in error.errors(include_url=False, include_input=False)
    ]


_ORDER: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    Operator.LT: lambda left, right: left < right,
    Operator.LTE: lambda left, right: left <= right,
    Operator.GT: lambda left, right: left > right,
    Operator.GTE: lambda left, right: left >= right,
}
_TEXT: Final[Mapping[Operator, Callable[[str, str], bool]]] = {
    Operator.CONTAINS: lambda left, right: right in left,
    Operator.STARTS_WITH: lambda left, right: left.startswith(right),
    Operator.ENDS_WITH: lambda left, right: left.endswith(right),
}
