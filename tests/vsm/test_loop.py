"""The loop on real rows: failures in, a paused source out, an operator's resume closes it; every step once."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from apps.content.events import DocumentAdvanced, SourceFetchFailed
from apps.content.models import Document, Source
from apps.content.services.sources import ensure_source, pause_source, resume_source
from apps.core.correlation import correlation
from apps.core.events import publish
from apps.core.models import Event, Job
from apps.core.tenancy import TenantRef, in_tenant
from apps.vsm import selectors, services, tasks
from apps.vsm.errors import DecisionNotFound, EpisodeNotFound, EpisodeResolved, PolicyInvalid
from apps.vsm.models import Decision, Episode, InterventionRecord, Policy, Rule

Drain = Callable[[TenantRef], int]
LOOP = [
    "rule.matched",
    "episode.created",
    "episode.analyzed",
    "policy.evaluated",
    "source.paused",
    "intervention.applied",
]


def make_source(host: str = "down.example") -> Source:
    return ensure_source(Source.Kind.WEB, f"https://{host}", name=host)


def fail(source: Source, *, times: int = 1, code: str = "connect_timeout", document_id: UUID | None = None) -> None:
    for attempt in range(times):
        publish(
            SourceFetchFailed(
                source_id=source.pk,
                document_id=document_id or uuid4(),
                url=f"{source.uri}/page",
                code=code,
                detail="No answer within 20 s.",
                attempt=attempt + 1,
            )
        )


def succeed(source: Source, *, times: int = 1) -> None:
    for _ in range(times):
        publish(
            DocumentAdvanced(document_id=uuid4(), run_id=None, source_id=source.pk, stage="normalise", progress=0.15)
        )


def names(correlation_id: UUID) -> list[str]:
    rows = Event.objects.filter(correlation_id=correlation_id).order_by("seq").values_list("name", flat=True)
    return list(rows)


def run_loop(ref: TenantRef, drain: Drain, *, times: int = 3) -> tuple[Source, Episode]:
    with in_tenant(ref):
        source = make_source()
        with correlation() as cause:
            fail(source, times=times)
    drain(ref)
    with in_tenant(ref):
        source.refresh_from_db()
        return source, Episode.objects.get(correlation_id=cause)


def test_repeated_failures_pause_the_source_under_one_correlation_id(tenant: TenantRef, drain: Drain) -> None:
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        assert names(episode.correlation_id) == ["source.fetch_failed"] * 3 + LOOP
        assert (source.state, source.paused_episode_id) == ("paused", episode.pk)
        assert source.pause_reason.startswith("Repeated fetch failures: down.example. pause-failing-source v1:")
        assert (episode.status, episode.risk_level, episode.analysis_method) == ("decided", "high", "statistical")
        assert episode.analysis["notice"] == "Computed from the events; no language model is connected."
        assert episode.analysis["evidence"]["codes"] == [{"value": "connect_timeout", "count": 3}]
        assert episode.analysis["summary"].startswith("3 of 3 attempts on down.example failed between ")
        decision = Decision.objects.get(episode=episode)
        assert (decision.outcome, decision.action, str(decision.policy)) == (
            "allow",
            "pause_source",
            "pause-failing-source v1",
        )
        record = InterventionRecord.objects.get(episode=episode)
        assert (record.status, record.target_id, record.decision_id) == ("applied", source.pk, decision.pk)


def test_an_operators_resume_reverts_the_intervention_and_resolves_the_episode(tenant: TenantRef, drain: Drain) -> None:
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        resume_source(source.pk, actor="ada@example.org")
    drain(tenant)
    with in_tenant(tenant):
        source.refresh_from_db()
        episode.refresh_from_db()
        record = InterventionRecord.objects.get(episode=episode)
        assert source.state == "active"
        assert (episode.status, episode.resolved_by) == ("resolved", "ada@example.org")
        assert (record.status, record.reverted_by) == ("reverted", "ada@example.org")
        assert names(episode.correlation_id)[-2:] == ["intervention.reverted", "episode.resolved"]
        assert services.settle_reverted("pause_source", source.pk, actor="again") == []


def test_every_step_done_twice_is_done_once(tenant: TenantRef, drain: Drain) -> None:
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        before = names(episode.correlation_id)
        decision = Decision.objects.get(episode=episode)
        tasks.analyse_episode(episode_id=episode.pk)
        tasks.evaluate_policy(episode_id=episode.pk)
        tasks.apply_intervention(decision_id=decision.pk)
        fail(source, times=4)
    drain(tenant)
    with in_tenant(tenant):
        assert names(episode.correlation_id) == before
        assert (Episode.objects.count(), Decision.objects.count(), InterventionRecord.objects.count()) == (1, 1, 1)


def test_a_job_of_the_loop_takes_its_arguments_through_json(tenant: TenantRef, drain: Drain) -> None:
    run_loop(tenant, drain)
    with in_tenant(tenant):
        states = dict(Job.objects.filter(name__startswith="vsm.").values_list("name", "state"))
    assert states == {
        "vsm.analyse_episode": "completed",
        "vsm.evaluate_policy": "completed",
        "vsm.apply_intervention": "completed",
    }


def test_two_failures_are_not_an_episode(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        source = make_source()
        fail(source, times=2)
        fail(make_source("other.example"), times=2)
    drain(tenant)
    with in_tenant(tenant):
        assert Episode.objects.count() == 0


def test_a_source_that_mostly_works_is_not_paused(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        source = make_source()
        succeed(source, times=7)
        fail(source, times=3)
        succeed(source, times=1)
    drain(tenant)
    with in_tenant(tenant):
        source.refresh_from_db()
        decision = Decision.objects.get()
        assert (source.state, decision.outcome, decision.action) == ("active", "deny", "")
        assert decision.reason.endswith("risk is low, needed medium or more.")
        assert decision.policy is None
        assert InterventionRecord.objects.count() == 0
        assert decision.input["evidence"]["successes"] == 8


def test_failures_before_a_resume_do_not_count_after_it(tenant: TenantRef, drain: Drain) -> None:
    source, _ = run_loop(tenant, drain)
    with in_tenant(tenant):
        resume_source(source.pk, actor="ada")
    drain(tenant)
    with in_tenant(tenant):
        fail(source, times=2)
    drain(tenant)
    with in_tenant(tenant):
        assert Episode.objects.filter(resolved_at__isnull=True).count() == 0
        fail(source)
    drain(tenant)
    with in_tenant(tenant):
        again = Episode.objects.get(resolved_at__isnull=True)
        assert again.analysis["evidence"]["failures"] == 3
        assert again.analysis["evidence"]["earlier_episodes"] == 1
        assert Decision.objects.get(episode=again).input["history"] == {
            "episodes_last_day": 1,
            "interventions_last_day": 1,
        }


def test_resolving_an_episode_undoes_what_it_did(tenant: TenantRef, drain: Drain) -> None:
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        services.resolve_episode(episode.pk, actor="key:ops", resolution="The host is back.")
    drain(tenant)
    with in_tenant(tenant):
        source.refresh_from_db()
        episode.refresh_from_db()
        assert (source.state, episode.status, episode.resolution) == ("active", "resolved", "The host is back.")
        assert names(episode.correlation_id)[-3:] == ["intervention.reverted", "source.resumed", "episode.resolved"]
        with pytest.raises(EpisodeResolved):
            services.resolve_episode(episode.pk, actor="key:ops")


def test_a_pause_by_hand_is_not_the_loops_to_revert(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        source = make_source()
        pause_source(source.pk, reason="maintenance")
        resume_source(source.pk, actor="ada")
    drain(tenant)
    with in_tenant(tenant):
        assert Event.objects.filter(name__startswith="intervention.").count() == 0


def test_a_refusal_by_the_part_that_should_act_is_recorded(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        source = make_source()
        with correlation() as cause:
            fail(source, times=3)
        Source.objects.filter(pk=source.pk).delete()
    drain(tenant)
    with in_tenant(tenant):
        record = InterventionRecord.objects.get()
        assert record.status == "failed"
        assert f"There is no source {source.pk}." in record.reason
        assert names(cause)[-1] == "intervention.failed"


def test_the_database_holds_one_open_episode_per_rule_and_subject(tenant: TenantRef, drain: Drain) -> None:
    _, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        twin = Episode.objects.get(pk=episode.pk)
        twin.pk = uuid4()
        with pytest.raises(IntegrityError), transaction.atomic():
            twin.save(force_insert=True)
        assert Episode.objects.count() == 1


def test_a_decision_replays_bit_for_bit(tenant: TenantRef, drain: Drain) -> None:
    _, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        decision = Decision.objects.get(episode=episode)
        services.publish_policy("pause-failing-source", {**decision.policy.rules, "outcome": "deny", "action": None})  # type: ignore[union-attr]  # it was decided by one
        replay = services.replay_decision(decision.pk)
        assert (replay.identical, replay.recorded, replay.replayed) == (
            True,
            "allow pause_source",
            "allow pause_source",
        )


@pytest.mark.parametrize(
    ("damage", "difference"),
    [
        ("input", "the stored input is not the one that was decided on"),
        ("rules", "a policy version is not the one that was asked"),
        ("outcome", None),
    ],
)
def test_a_replay_notices_what_was_changed_afterwards(
    tenant: TenantRef, drain: Drain, damage: str, difference: str | None
) -> None:
    _, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        decision = Decision.objects.get(episode=episode)
        if damage == "input":
            decision.input["evidence"]["failures"] = 2
            decision.save()
        elif damage == "rules":
            policy = Policy.objects.get()
            policy.rules["conditions"][1]["level"] = "critical"
            policy.save()
        else:
            decision.verdict_hash = "0" * 64
            decision.save()
        replay = services.replay_decision(decision.pk)
        assert not replay.identical
        assert (difference or "the verdict differs") in replay.differences


def test_a_policy_nobody_can_carry_out_is_not_published(in_new_tenant: TenantRef) -> None:
    rules = {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "allow", "action": "reboot_world"}
    with pytest.raises(PolicyInvalid, match="nothing carries out 'reboot_world'"):
        services.publish_policy("p", rules)
    with pytest.raises(PolicyInvalid):
        services.publish_policy("p", {"conditions": [{"type": "nonsense"}], "outcome": "deny"})
    assert list(Policy.objects.values_list("name", flat=True)) == ["pause-failing-source"]


def test_versions_count_up_and_can_be_rolled_back(in_new_tenant: TenantRef) -> None:
    deny = {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "deny"}
    first = Policy.objects.get(name="pause-failing-source")
    second = services.publish_policy("pause-failing-source", deny, priority=7)
    services.activate_policy(first.pk)
    third = services.publish_policy("pause-failing-source", deny)
    assert [row.version for row in (first, second, third)] == [1, 2, 3]
    assert list(Policy.objects.filter(active=True)) == [third]


def test_a_broken_policy_in_force_denies_everything_and_says_so(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        Policy.objects.create(name="typo", version=1, active=True, rules={"conditions": [{"type": "alwyas"}]})
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        decision = Decision.objects.get(episode=episode)
        assert (decision.outcome, str(decision.policy), source.state) == ("error", "typo v1", "active")


def test_a_dry_run_decides_and_changes_nothing(tenant: TenantRef, drain: Drain) -> None:
    _, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        strict = Policy.objects.get().rules
        strict["conditions"].append({"type": "failures_at_least", "count": 100})
        run = services.dry_run_policies(episode.pk, candidate=strict, name="pause-failing-source")
        assert (run.verdict.outcome, run.recorded_outcome) == ("deny", "allow")
        assert services.dry_run_policies(episode.pk).verdict.outcome == "allow"
        assert services.dry_run_policies(episode.pk, candidate={}).verdict.outcome == "error"
        assert (Decision.objects.count(), Policy.objects.count()) == (1, 1)


def test_a_disabled_or_broken_rule_opens_nothing_and_stops_nothing(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        services.set_rule_enabled(Rule.objects.get().pk, enabled=False)
        Rule.objects.create(
            name="broken", title="Broken", pattern="source.*", group_by="source_id", threshold=1, window_s=60,
            where=[{"field": "code", "op": "matches", "value": "("}],
        )  # fmt: skip
        fail(make_source(), times=3)
    drain(tenant)
    with in_tenant(tenant):
        assert Episode.objects.count() == 0


def test_a_cooldown_keeps_a_rule_quiet_after_an_episode_ended(tenant: TenantRef, drain: Drain) -> None:
    with in_tenant(tenant):
        Rule.objects.update(cooldown_s=3600)
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        services.resolve_episode(episode.pk, actor="ada")
        fail(source, times=3)
    drain(tenant)
    with in_tenant(tenant):
        assert Episode.objects.count() == 1
        Episode.objects.update(created_at=episode.created_at - timedelta(hours=2))
        fail(source)
    drain(tenant)
    with in_tenant(tenant):
        assert Episode.objects.count() == 2


def test_an_analysis_that_gave_up_leaves_the_episode_to_an_operator(in_new_tenant: TenantRef, drain: Drain) -> None:
    source = make_source()
    fail(source, times=3)
    episode = Episode.objects.create(
        title="t", rule=Rule.objects.get(), source_kind="source", subject_id=str(source.pk), correlation_id=uuid4(),
        window_from=source.created_at,
    )  # fmt: skip
    services.fail_episode(episode.pk, step="analysis", code="job_error", detail="x")
    services.fail_episode(episode.pk, step="analysis", code="job_error", detail="x")
    episode.refresh_from_db()
    assert (episode.status, names(episode.correlation_id)) == ("error", ["episode.failed"])
    tasks.analyse_episode(episode_id=episode.pk)
    assert Decision.objects.count() == 0


def test_unknown_ids_are_refused(in_new_tenant: TenantRef) -> None:
    for call in (services.analyse_episode, services.evaluate_policy, selectors.episode_by_id):
        with pytest.raises(EpisodeNotFound):
            call(uuid4())
    for call in (services.apply_intervention, services.replay_decision):  # type: ignore[assignment]  # same shape
        with pytest.raises(DecisionNotFound):
            call(uuid4())


def test_the_timeline_tells_the_story_of_one_episode_only(tenant: TenantRef, drain: Drain) -> None:
    source, episode = run_loop(tenant, drain)
    with in_tenant(tenant):
        with correlation(episode.correlation_id):
            succeed(make_source("unrelated.example"), times=5)
        resume_source(source.pk, actor="ada")
    drain(tenant)
    with in_tenant(tenant):
        episode.refresh_from_db()
        told = [event.name for event in selectors.episode_timeline(episode)]
    expected = ["source.fetch_failed"] * 3 + LOOP + ["source.resumed", "intervention.reverted", "episode.resolved"]
    assert sorted(told) == sorted(expected)


def test_one_tenants_failures_pause_nothing_elsewhere(two_tenants: tuple[TenantRef, TenantRef], drain: Drain) -> None:
    one, other = two_tenants
    with in_tenant(other):
        bystander = make_source()
    source, _ = run_loop(one, drain)
    drain(other)
    with in_tenant(other):
        bystander.refresh_from_db()
        assert (bystander.state, Episode.objects.count(), Decision.objects.count()) == ("active", 0, 0)
        assert Document.objects.count() == 0
        assert not Event.objects.filter(payload__source_id=str(source.pk)).exists()
