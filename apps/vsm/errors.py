from apps.core.errors import Conflict, DomainError, NotFound


class EpisodeNotFound(NotFound):
    code = "episode_not_found"
    title = "No such episode"


class EpisodeResolved(Conflict):
    code = "episode_resolved"
    title = "The episode is already resolved"


class DecisionNotFound(NotFound):
    code = "decision_not_found"
    title = "No such decision"


class PolicyNotFound(NotFound):
    code = "policy_not_found"
    title = "No such policy"


class PolicyInvalid(DomainError):
    """A policy names a condition, an outcome or an action that does not exist."""

    code = "policy_invalid"
    title = "The policy is not valid"


class UnknownIntervention(DomainError):
    code = "intervention_unknown"
    title = "Nothing can carry out this action"
