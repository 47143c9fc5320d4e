"""What the viable system knows."""

from apps.vsm.selectors.episodes import (
    correlation_of_episode,
    decision_policies,
    episode_by_id,
    episode_evidence,
    episode_timeline,
    episodes_visible,
)
from apps.vsm.selectors.picture import Figure, SystemView, vsm_picture
from apps.vsm.selectors.systems import Reading, current_states, read_systems

__all__ = [
    "Figure",
    "Reading",
    "SystemView",
    "correlation_of_episode",
    "current_states",
    "decision_policies",
    "episode_by_id",
    "episode_evidence",
    "episode_timeline",
    "episodes_visible",
    "read_systems",
    "vsm_picture",
]
