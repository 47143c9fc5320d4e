"""Looking at the systems (S1 to S5), and looking behind what they say (S3*)."""

from dataclasses import asdict
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from apps.core.events import publish
from apps.vsm import events, ports
from apps.vsm.conf import vsm_settings
from apps.vsm.models import Audit, SystemState
from apps.vsm.selectors.systems import Reading, current_states, read_systems

PRUNE_BATCH = 500


def observe_systems() -> list[int]:
    """Read all systems; store and announce those whose state or figures have changed. Returns their numbers."""
    changed: list[int] = []
    readings = read_systems()
    known = {row.system: row for row in current_states()}
    for reading in readings:
        before = known.get(reading.system)
        if before and (before.state, before.figures) == (reading.state, reading.figures):
            continue
        if _store(reading, version=before.version + 1 if before else 1):
            changed.append(reading.system)
    _prune_states()
    return changed


def _store(reading: Reading, *, version: int) -> bool:
    """False when someone else stored this version first: then there is nothing to add."""
    with transaction.atomic():
        row, created = SystemState.objects.get_or_create(
            system=reading.system,
            version=version,
            defaults={"state": reading.state, "figures": reading.figures},
        )
        if created:
            publish(
                events.SystemStateChanged(
                    system=reading.system, state=row.state, version=version, figures=reading.figures
                )
            )
        return created


def _prune_states() -> None:
    """Keep the newest rows of each system; at most PRUNE_BATCH go at once."""
    keep = vsm_settings().state_history
    newest = dict(SystemState.objects.values_list("system").annotate(newest=Max("version")))
    for system, version in newest.items():
        old = SystemState.objects.filter(system=system, version__lte=version - keep).order_by("version")
        SystemState.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PRUNE_BATCH])).delete()


def audit_operations() -> UUID | None:
    """Check a random sample of what operations say is done. Returns the audit's id; None with nothing to check."""
    samples = [probe.audit(vsm_settings().audit_sample) for probe in ports.audit_probes()]
    if not any(sample.sampled for sample in samples):
        return None
    findings = [asdict(finding) for sample in samples for finding in sample.findings]
    with transaction.atomic():
        audit = Audit.objects.create(
            population=sum(sample.population for sample in samples),
            sampled=sum(sample.sampled for sample in samples),
            mismatches=findings,
        )
        publish(
            events.AuditCompleted(
                audit_id=audit.id, population=audit.population, sampled=audit.sampled, mismatched=len(findings)
            )
        )
        old = Audit.objects.order_by("-id").values_list("pk", flat=True)[vsm_settings().audit_history :][:PRUNE_BATCH]
        Audit.objects.filter(pk__in=list(old)).delete()
    return audit.id
