"""System states: counted, versioned, announced when they change, bounded; and the audit behind them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from apps.content.models import Blob, Document, Source
from apps.core.jobs import enqueue
from apps.core.models import Event, Job, JobState
from apps.core.tenancy import TenantRef, in_tenant
from apps.vsm import ports, selectors, services, tasks
from apps.vsm.conf import vsm_settings
from apps.vsm.models import Audit, Policy, SystemState
from apps.vsm.ports import AuditFinding, AuditSample
from apps.vsm.selectors import systems

Drain = Callable[[TenantRef], int]


def figures(system: int) -> Mapping[str, int | float]:
    return {reading.system: reading.figures for reading in selectors.read_systems()}[system]


def states() -> dict[int, str]:
    return {reading.system: reading.state for reading in selectors.read_systems()}


def test_a_new_tenant_is_idle_clear_steady_watching_and_governed(in_new_tenant: TenantRef) -> None:
    assert states() == {1: "idle", 2: "clear", 3: "steady", 4: "watching", 5: "governing"}


def test_s1_counts_sources_and_documents(in_new_tenant: TenantRef) -> None:
    active = Source.objects.create(kind="web", name="a", uri="https://a")
    Source.objects.create(kind="web", name="b", uri="https://b", state="paused")
    for number, status in enumerate(["ready", "ready", "failed", "held", "removed"]):
        Document.objects.create(source=active, external_id=str(number), uri="u", status=status)
    found = figures(1)
    assert {key: found[key] for key in ("sources_active", "sources_paused", "failures_last_hour")} == {
        "sources_active": 1,
        "sources_paused": 1,
        "failures_last_hour": 0,
    }
    assert [found[f"documents_{name}"] for name in ("ready", "failed", "held", "pending", "removed")] == [2, 1, 1, 0, 1]
    assert states()[1] == "strained"
    Source.objects.update(state="paused")
    assert states()[1] == "stalled"


def test_s2_counts_jobs_by_queue_and_the_longest_wait(in_new_tenant: TenantRef) -> None:
    waiting = enqueue(tasks.analyse_episode, episode_id=uuid4())
    enqueue(tasks.evaluate_policy, episode_id=uuid4(), _delay_s=300)
    found = figures(2)
    assert [found[key] for key in ("jobs_backlog", "jobs_executing", "jobs_scheduled")] == [1, 0, 1]
    assert [found[key] for key in ("backlog_analysis", "backlog_critical", "backlog_default")] == [1, 0, 0]
    assert states()[2] == "flowing"
    Job.objects.filter(pk=waiting).update(scheduled_at=timezone.now() - timedelta(seconds=61))
    assert 61 <= figures(2)["oldest_waiting_s"] <= 63
    assert states()[2] == "blocked"
    Job.objects.create(
        tenant_id=in_new_tenant.id, queue="storage", name="x", state=JobState.EXECUTING, correlation_id=uuid4()
    )
    assert (states()[2], figures(2)["executing_storage"]) == ("congested", 1)


def test_s5_is_unguided_without_a_policy(in_new_tenant: TenantRef) -> None:
    services.retire_policy(Policy.objects.get().pk)
    assert (states()[5], figures(5)["policies_active"]) == ("unguided", 0)


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (systems.intelligence_state, {"episodes_error": 1, "episodes_open": 1}, "impaired"),
        (systems.intelligence_state, {"episodes_open": 1}, "analysing"),
        (systems.intelligence_state, {"episodes_analyzing": 1}, "analysing"),
        (systems.intelligence_state, {"episodes_unresolved": 1}, "attentive"),
        (systems.control_state, {"audit_mismatches": 1, "interventions_active": 1}, "alarmed"),
        (systems.control_state, {"interventions_active": 1}, "intervening"),
        (systems.policy_state, {"policies_active": 1, "decisions_error_24h": 1}, "erring"),
    ],
)
def test_a_state_follows_from_figures_by_rule(
    rule: Callable[[Mapping[str, float]], str], given: dict[str, int], expected: str
) -> None:
    names = (
        "episodes_error", "episodes_open", "episodes_analyzing", "episodes_unresolved", "audit_mismatches",
        "interventions_active", "policies_active", "decisions_error_24h",
    )  # fmt: skip
    assert rule(dict.fromkeys(names, 0) | given) == expected


def test_only_what_has_changed_is_stored_and_announced(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        assert services.observe_systems() == [1, 2, 3, 4, 5]
        assert services.observe_systems() == []
        Source.objects.create(kind="web", name="a", uri="https://a")
        assert services.observe_systems() == [1]
        newest = selectors.current_states()[0]
        assert (newest.system, newest.state, newest.version, newest.figures["sources_active"]) == (1, "operating", 2, 1)
        told = Event.objects.filter(name="system.state").order_by("occurred_at", "id").values_list("payload", flat=True)
        assert [(event["system"], event["version"]) for event in told] == [
            (1, 1),
            (2, 1),
            (3, 1),
            (4, 1),
            (5, 1),
            (1, 2),
        ]
        assert list(told)[-1] == {
            "system": 1, "state": "operating", "version": 2, "figures": newest.figures,
        }  # fmt: skip


def test_history_is_bounded(in_new_tenant: TenantRef) -> None:
    keep = vsm_settings().state_history
    SystemState.objects.bulk_create(
        SystemState(system=1, state="idle", version=version, figures={"x": version}) for version in range(1, keep + 6)
    )
    services.observe_systems()
    versions = SystemState.objects.filter(system=1).order_by("version").values_list("version", flat=True)
    assert (versions[0], len(versions)) == (7, keep)


def test_one_tenants_figures_hold_nothing_of_another(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, other = two_tenants
    with in_tenant(other):
        Source.objects.create(kind="web", name="a", uri="https://a", state="paused")
        enqueue(tasks.analyse_episode, episode_id=uuid4())
    with in_tenant(one):
        assert states() == {1: "idle", 2: "clear", 3: "steady", 4: "watching", 5: "governing"}


def test_the_picture_gives_every_figure_a_label_and_a_link(in_new_tenant: TenantRef) -> None:
    before = selectors.vsm_picture()
    assert [(view.code, view.state, view.figures) for view in before] == [
        (f"S{number}", "not observed yet", ()) for number in range(1, 6)
    ]
    services.observe_systems()
    shown = selectors.vsm_picture()
    assert [view.name for view in shown] == ["Operations", "Coordination", "Control", "Intelligence", "Policy"]
    every = [figure for view in shown for figure in view.figures]
    assert [figure.key for figure in every if not figure.url.startswith("/admin/")] == []
    assert len({figure.key for figure in every}) == len(every) - 1  # documents held are a figure of S1 and of S3


class Findings:
    """An auditor with a script."""

    def __init__(self, sample: AuditSample) -> None:
        self.sample = sample

    def audit(self, sample_size: int) -> AuditSample:
        assert sample_size == vsm_settings().audit_sample
        return self.sample


def test_an_audit_is_kept_told_and_alarms(in_new_tenant: TenantRef, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = AuditFinding("doc-1", "artifact_corrupt", "The checksum differs.")
    monkeypatch.setattr(ports, "audit_probes", lambda: (Findings(AuditSample(9, 5, (finding,))),))
    audit_id = services.audit_operations()
    audit = Audit.objects.get()
    assert (audit.pk, audit.population, audit.sampled) == (audit_id, 9, 5)
    assert audit.mismatches == [{"subject_id": "doc-1", "code": "artifact_corrupt", "detail": "The checksum differs."}]
    assert Event.objects.get(name="audit.completed").payload["mismatched"] == 1
    assert states()[3] == "alarmed"
    monkeypatch.setattr(ports, "audit_probes", lambda: (Findings(AuditSample(9, 5, ())),))
    services.audit_operations()
    assert states()[3] == "steady"


def test_with_nothing_to_audit_nothing_is_claimed(in_new_tenant: TenantRef) -> None:
    assert services.audit_operations() is None
    assert Audit.objects.count() == 0
    assert figures(3)["audit_sampled"] == 0


def test_a_document_whose_file_is_gone_is_found_by_the_audit(in_new_tenant: TenantRef) -> None:
    source = Source.objects.create(kind="web", name="a", uri="https://a")
    blob = Blob.objects.create(
        content_hash="0" * 64, media_type="text/plain", artifact_path="gone/away", size_bytes=1, state="indexed"
    )
    document = Document.objects.create(source=source, external_id="1", uri="u", status="ready", blob=blob)
    services.audit_operations()
    audit = Audit.objects.get()
    assert (audit.population, audit.sampled) == (1, 1)
    assert [(item["subject_id"], item["code"]) for item in audit.mismatches] == [(str(document.pk), "artifact_missing")]
