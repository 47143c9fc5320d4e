"""What the loop needs from the apps above it. They implement these and register them in AppConfig.ready()."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from apps.vsm.errors import UnknownIntervention


class Intervention(Protocol):
    """An action that S3 can take on one subject. Both ways may be repeated without further effect."""

    name: str

    def apply(self, target_id: UUID, *, reason: str, episode_id: UUID) -> None: ...

    def revert(self, target_id: UUID, *, actor: str) -> None: ...


class OperationsProbe(Protocol):
    """Counts of the work that operations do, read from the current tenant's tables at the moment of the call."""

    def figures(self) -> Mapping[str, int | float]: ...


@dataclass(frozen=True)
class AuditFinding:
    """One thing that is not as it should be: which object, and what was found."""

    subject_id: str
    code: str
    detail: str


@dataclass(frozen=True)
class AuditSample:
    """What a sample showed: of `population` objects `sampled` were checked."""

    population: int
    sampled: int
    findings: tuple[AuditFinding, ...]


class AuditProbe(Protocol):
    """Checks a random sample of what operations claim to have done against what is really there."""

    def audit(self, sample_size: int) -> AuditSample: ...


_interventions: dict[str, Intervention] = {}
_operations: dict[str, OperationsProbe] = {}
_audits: dict[str, AuditProbe] = {}


def register_intervention(intervention: Intervention) -> None:
    """Registering a name again replaces it (AppConfig.ready may run twice in one process)."""
    _interventions[intervention.name] = intervention


def intervention_named(name: str) -> Intervention:
    """Raises UnknownIntervention."""
    try:
        return _interventions[name]
    except KeyError:
        raise UnknownIntervention(f"No part of the platform offers the action {name!r}.") from None


def intervention_names() -> frozenset[str]:
    return frozenset(_interventions)


def register_operations_probe(probe: OperationsProbe) -> None:
    """One probe per class; a second registration of it replaces the first."""
    _operations[type(probe).__qualname__] = probe


def operations_figures() -> dict[str, int | float]:
    """The figures of every probe, merged; names are distinct by agreement."""
    figures: dict[str, int | float] = {}
    for probe in _operations.values():
        figures.update(probe.figures())
    return figures


def register_audit_probe(probe: AuditProbe) -> None:
    _audits[type(probe).__qualname__] = probe


def audit_probes() -> tuple[AuditProbe, ...]:
    return tuple(_audits.values())
