"""The loop's jobs. Each may run twice."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from apps.core.jobs import job
from apps.core.schedules import every
from apps.vsm import services
from apps.vsm.conf import vsm_settings
from apps.vsm.errors import EpisodeNotFound


def _fail(step: str, args: dict[str, Any], code: str, detail: str) -> None:
    """An episode that is gone has nobody to tell."""
    with suppress(EpisodeNotFound):
        services.fail_episode(UUID(args["episode_id"]), step=step, code=code, detail=detail)


def _analysis_discarded(args: dict[str, Any], code: str, detail: str) -> None:
    _fail("analysis", args, code, detail)


def _evaluation_discarded(args: dict[str, Any], code: str, detail: str) -> None:
    _fail("policy", args, code, detail)


@job("vsm.analyse_episode", queue="analysis", timeout_s=420, attempts=3, on_discard=_analysis_discarded)
def analyse_episode(*, episode_id: UUID) -> None:
    """Safe to run twice: an analysed episode returns early."""
    services.analyse_episode(episode_id)


@job("vsm.evaluate_policy", queue="critical", timeout_s=30, attempts=5, on_discard=_evaluation_discarded)
def evaluate_policy(*, episode_id: UUID) -> None:
    """Safe to run twice: a decided episode returns early."""
    services.evaluate_policy(episode_id)


@job("vsm.apply_intervention", queue="critical", timeout_s=60, attempts=5)
def apply_intervention(*, decision_id: UUID) -> None:
    """Safe to run twice: a decision is carried out once."""
    services.apply_intervention(decision_id)


@every(vsm_settings().observe_every_s, "vsm.observe_systems")
@job("vsm.observe_systems", queue="default", timeout_s=30, attempts=1)
def observe_systems() -> None:
    """Safe to run twice: figures that have not changed write nothing."""
    services.observe_systems()


@every(vsm_settings().audit_every_s, "vsm.audit_operations")
@job("vsm.audit_operations", queue="analysis", timeout_s=60, attempts=1)
def audit_operations() -> None:
    """Safe to run twice: a second run is a second sample."""
    services.audit_operations()
