"""What the viable system does, one verb per function."""

from apps.vsm.services.catalogue import activate_policy, publish_policy, retire_policy, seed_tenant, set_rule_enabled
from apps.vsm.services.decisions import DryRun, Replay, dry_run_policies, evaluate_policy, replay_decision
from apps.vsm.services.episodes import analyse_episode, fail_episode, resolve_episode, watch_event
from apps.vsm.services.interventions import apply_intervention, settle_reverted
from apps.vsm.services.observation import audit_operations, observe_systems

__all__ = [
    "DryRun",
    "Replay",
    "activate_policy",
    "analyse_episode",
    "apply_intervention",
    "audit_operations",
    "dry_run_policies",
    "evaluate_policy",
    "fail_episode",
    "observe_systems",
    "publish_policy",
    "replay_decision",
    "resolve_episode",
    "retire_policy",
    "seed_tenant",
    "set_rule_enabled",
    "settle_reverted",
    "watch_event",
]
