"""How one step of the loop leads to the next: each follows from the event of the one before.

source.fetch_failed -> (rule) episode.created -> vsm.analyse_episode -> episode.analyzed -> vsm.evaluate_policy ->
policy.evaluated -> vsm.apply_intervention -> intervention.applied; source.resumed -> intervention.reverted.
"""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from apps.core.events import StoredEvent, subscriber
from apps.core.jobs import enqueue
from apps.vsm import events, services, tasks
from apps.vsm.models import Outcome


@subscriber("vsm.goldrush", topics=("*",))
def watch(event: StoredEvent) -> None:
    """Every event passes the rules; what the loop itself says does not."""
    services.watch_event(event)


def _analyse(event: StoredEvent) -> None:
    created = events.EpisodeCreated.model_validate(event.payload)
    enqueue(tasks.analyse_episode, episode_id=created.episode_id, _unique_key=f"vsm.analyse:{created.episode_id}")


def _evaluate(event: StoredEvent) -> None:
    analyzed = events.EpisodeAnalyzed.model_validate(event.payload)
    enqueue(tasks.evaluate_policy, episode_id=analyzed.episode_id, _unique_key=f"vsm.policy:{analyzed.episode_id}")


def _apply(event: StoredEvent) -> None:
    evaluated = events.PolicyEvaluated.model_validate(event.payload)
    if evaluated.outcome == Outcome.ALLOW and evaluated.action:
        enqueue(
            tasks.apply_intervention,
            decision_id=evaluated.decision_id,
            _unique_key=f"vsm.apply:{evaluated.decision_id}",
        )


def _settle_resumed(event: StoredEvent) -> None:
    """The event belongs to a layer above; its name and these two fields are the agreement."""
    services.settle_reverted("pause_source", UUID(event.payload["source_id"]), actor=str(event.payload["actor"]))


NEXT_STEP: Final[Mapping[str, Callable[[StoredEvent], None]]] = {
    events.EpisodeCreated.name: _analyse,
    events.EpisodeAnalyzed.name: _evaluate,
    events.PolicyEvaluated.name: _apply,
    "source.resumed": _settle_resumed,
}


@subscriber("vsm.loop", topics=tuple(NEXT_STEP))
def advance(event: StoredEvent) -> None:
    """Take the step that this event calls for."""
    NEXT_STEP[event.name](event)
