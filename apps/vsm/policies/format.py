"""The policy format: a closed set of conditions, ANDed, and what follows when all of them hold."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from apps.core.errors import FieldError
from apps.vsm.errors import PolicyInvalid

RiskName = Literal["low", "medium", "high", "critical"]
RISK_ORDER: Final[Mapping[str, int]] = {"low": 0, "medium": 1, "high": 2, "critical": 3}


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EpisodeFacts(_Closed):
    id: UUID
    rule: str
    rule_version: int
    subject_kind: str
    subject_id: str
    risk_level: RiskName
    analysis_method: Literal["llm", "statistical"]


class EvidenceFacts(_Closed):
    """Counted from the event log; `failure_share` is of all attempts that ended in the same span, 0 to 1."""

    failures: int
    successes: int
    consecutive_failures: int
    failure_share: float
    failures_per_minute: float
    span_s: float


class HistoryFacts(_Closed):
    """What happened to the same subject in the 24 hours before the episode."""

    episodes_last_day: int
    interventions_last_day: int


class DecisionInput(_Closed):
    """All that a policy can see."""

    format: Literal[1] = 1
    episode: EpisodeFacts
    evidence: EvidenceFacts
    history: HistoryFacts


class Checked(NamedTuple):
    """Whether a condition holds, what is the case, and what was needed."""

    holds: bool
    fact: str
    needed: str


class RiskAtLeast(_Closed):
    type: Literal["risk_at_least"]
    level: RiskName

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.episode.risk_level
        return Checked(RISK_ORDER[actual] >= RISK_ORDER[self.level], f"risk is {actual}", f"{self.level} or more")


class RuleIs(_Closed):
    type: Literal["rule_is"]
    name: str

    def check(self, seen: DecisionInput) -> Checked:
        return Checked(seen.episode.rule == self.name, f"rule is {seen.episode.rule}", self.name)


class SubjectKindIs(_Closed):
    type: Literal["subject_kind_is"]
    kind: str

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.episode.subject_kind
        return Checked(actual == self.kind, f"subject is a {actual}", f"a {self.kind}")


class FailuresAtLeast(_Closed):
    type: Literal["failures_at_least"]
    count: Annotated[int, Field(ge=1)]

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.evidence.failures
        return Checked(actual >= self.count, f"{actual} failures", f"{self.count} or more")


class ConsecutiveFailuresAtLeast(_Closed):
    type: Literal["consecutive_failures_at_least"]
    count: Annotated[int, Field(ge=1)]

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.evidence.consecutive_failures
        return Checked(actual >= self.count, f"{actual} failures in a row", f"{self.count} or more")


class FailureShareAtLeast(_Closed):
    type: Literal["failure_share_at_least"]
    share: Annotated[float, Field(ge=0, le=1)]

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.evidence.failure_share
        return Checked(actual >= self.share, f"{actual:.0%} of attempts failed", f"{self.share:.0%} or more")


class InterventionsLastDayBelow(_Closed):
    """Against swinging: an action that did not help several times is left to people."""

    type: Literal["interventions_last_day_below"]
    count: Annotated[int, Field(ge=1)]

    def check(self, seen: DecisionInput) -> Checked:
        actual = seen.history.interventions_last_day
        return Checked(actual < self.count, f"{actual} interventions in the last day", f"fewer than {self.count}")


PolicyCondition = Annotated[
    RiskAtLeast
    | RuleIs
    | SubjectKindIs
    | FailuresAtLeast
    | ConsecutiveFailuresAtLeast
    | FailureShareAtLeast
    | InterventionsLastDayBelow,
    Field(discriminator="type"),
]


class PolicyRules(_Closed):
    """`conditions` all hold -> `outcome`; an allowed `action` is carried out by the intervention of that name."""

    conditions: Annotated[tuple[PolicyCondition, ...], Field(min_length=1, max_length=50)]
    outcome: Literal["allow", "deny"]
    action: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")] | None = None

    @model_validator(mode="after")
    def _action_fits_outcome(self) -> "PolicyRules":
        if (self.action is None) is (self.outcome == "allow"):
            raise ValueError("an allow names the action, a deny names none")
        return self


def parse_rules(raw: Mapping[str, Any]) -> PolicyRules:
    """Raises PolicyInvalid, naming each field; a condition outside the closed set is invalid, never true."""
    try:
        return PolicyRules.model_validate(raw)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        errors = [
            FieldError("/" + "/".join(str(part) for part in item["loc"]), item["type"], item["msg"]) for item in items
        ]
        first = errors[0]
        raise PolicyInvalid(f"{first.pointer}: {first.detail}", errors=errors) from None
