"""The operator console: one tenant at a time, by role, and every change a command."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from apps.content.events import SourceFetchFailed
from apps.content.models import Document, IngestRun, SemanticContainer, Source
from apps.core.admin_site import OperatorModelAdmin, operator_site
from apps.core.correlation import correlation
from apps.core.events import publish
from apps.core.jobs import enqueue
from apps.core.models import Event, Job, JobState
from apps.core.tenancy import TenantRef, in_system, in_tenant
from apps.storage.models import Artifact
from apps.tenants.models import ApiKey, Membership, Role
from apps.tenants.services import add_member, create_api_key, create_user
from apps.vsm import services, tasks
from apps.vsm.models import Audit, Decision, Episode, InterventionRecord, Policy, Rule

Drain = Callable[[TenantRef], int]
MODELS = sorted(operator_site._registry, key=lambda model: model._meta.label)


@pytest.fixture(scope="session", autouse=True)
def _static_root() -> None:
    """WhiteNoise warns about a folder that is not there."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


def client_for(ref: TenantRef, role: str = Role.OPERATOR) -> Client:
    """A browser signed in to `ref` as a new member with `role`."""
    email = f"{role}-{uuid4().hex[:8]}@example.org"
    client = Client(headers={"host": f"{ref.slug}.localhost"})
    user = create_user(email, "correct horse battery", name=email)
    add_member(ref, user, role)
    with in_tenant(ref):
        client.force_login(user)
    return client


def fill(ref: TenantRef, drain: Drain, canary: str) -> Source:
    """At least one row of every model of the console, each with the canary in its text."""
    with in_tenant(ref), correlation():
        source = Source.objects.create(kind="web", name=canary, uri=f"https://{canary}.example")
        for attempt in range(3):
            publish(
                SourceFetchFailed(
                    source_id=source.pk, document_id=uuid4(), url=f"https://{canary}.example/", code="dns",
                    detail=canary, attempt=attempt,
                )
            )  # fmt: skip
        run = IngestRun.objects.create(source=source, origin=canary, correlation_id=uuid4())
        document = Document.objects.create(
            source=source, run=run, external_id=canary, uri=canary, title=canary, status="failed"
        )
        SemanticContainer.objects.create(document=document, title=canary, content_type="text/plain", provenance={})
        Artifact.objects.create(
            path=canary, content_type="text/plain", size_bytes=1, checksum="0" * 64, backend="local"
        )
        Audit.objects.create(population=1, sampled=1, mismatches=[{"subject_id": canary}])
        create_api_key(canary)
        services.observe_systems()
    drain(ref)
    with in_tenant(ref):
        Job.objects.filter(name="vsm.analyse_episode").update(cause_detail=canary, args={"canary": canary})
    return source


def url(model: type[Model], view: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def body(response: Any) -> str:
    return str(response.content.decode())


def test_a_list_and_a_page_of_every_model_show_this_tenant_and_no_other(
    two_tenants: tuple[TenantRef, TenantRef], drain: Drain
) -> None:
    mine, theirs = (f"canary{uuid4().hex[:12]}" for _ in range(2))
    one, other = two_tenants
    fill(one, drain, mine)
    fill(other, drain, theirs)
    client = client_for(one)
    with in_tenant(other):
        foreign = {model: list(model._default_manager.values_list("pk", flat=True)[:3]) for model in MODELS}
        shared = {str(pk) for pks in foreign.values() for pk in pks}
        secrets = {theirs, other.slug, other.schema, str(other.id)}
    shown = 0
    for model in MODELS:
        listing = client.get(url(model, "changelist"))
        assert listing.status_code == 200, model
        assert not [secret for secret in secrets if secret in body(listing)], model
        with in_tenant(one):
            own = list(model._default_manager.values_list("pk", flat=True)[:2])
        assert own, f"{model} has no row to look at"
        for pk in own:
            page = client.get(url(model, "change", pk))
            assert page.status_code == 200, (model, pk)
            assert not [secret for secret in secrets if secret in body(page)], model
            shown += 1
        for pk in foreign[model]:
            if pk in own:
                continue
            page = client.get(url(model, "change", pk), follow=False)
            assert page.status_code == 302, (model, pk)
            assert page.headers["location"] == reverse("admin:index")
            client.get(reverse("admin:index"))  # takes the message that repeats the id we asked for
    assert shown >= len(MODELS)
    assert shared
    overview = body(client.get(reverse("admin:index")))
    assert mine in overview
    assert theirs not in overview
    found = body(client.get(url(Source, "changelist"), {"q": "canary"}))
    assert mine in found
    assert theirs not in found


@pytest.mark.parametrize("role", ["viewer", "editor"])
def test_members_without_the_role_are_refused_everywhere(tenant: TenantRef, role: str) -> None:
    client = client_for(tenant, role)
    for model in MODELS:
        refused = client.get(url(model, "changelist"), follow=True)
        assert refused.status_code == 403, model
    assert client.get(reverse("admin:index"), follow=True).status_code == 403


def test_strangers_are_sent_to_the_sign_in_page(tenant: TenantRef) -> None:
    client = Client(headers={"host": f"{tenant.slug}.localhost"})
    for model in MODELS:
        where = url(model, "changelist")
        answer = client.get(where, follow=True)
        assert [step[0] for step in answer.redirect_chain][-1] == f"/login/?next={where.replace('/', '%2F')}"


def test_an_operator_of_one_tenant_is_a_stranger_in_another(two_tenants: tuple[TenantRef, TenantRef]) -> None:
    one, other = two_tenants
    client = client_for(one)
    assert client.get(reverse("admin:index")).status_code == 200
    for where in (reverse("admin:index"), url(Source, "changelist")):
        answer = client.get(where, headers={"host": f"{other.slug}.localhost"})
        assert answer.status_code == 302
        assert answer.headers["location"].startswith("/admin/login/")


def test_no_row_can_be_added_edited_or_deleted_by_hand(tenant: TenantRef, drain: Drain) -> None:
    fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant, Role.OWNER)
    for model in MODELS:
        with in_tenant(tenant):
            before = list(model._default_manager.order_by("pk").values())
        pk = before[0][model._meta.pk.name]
        assert client.post(url(model, "delete", pk), {"post": "yes"}).status_code == 403, model
        assert client.post(url(model, "change", pk), {"name": "x"}).status_code == 403, model
        if model is not Policy:
            assert client.post(url(model, "add"), {"name": "x"}).status_code == 403, model
        with in_tenant(tenant):
            assert list(model._default_manager.order_by("pk").values()) == before, model


def test_no_command_runs_on_a_get(tenant: TenantRef, drain: Drain) -> None:
    source = fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant, Role.OWNER)
    asked = 0
    for model, admin in operator_site._registry.items():
        with in_tenant(tenant):
            pk = model._default_manager.values_list("pk", flat=True)[0]
        for name in admin.actions_detail:
            answer = client.get(url(model, name, pk))
            assert (answer.status_code, 'method="post"' in body(answer)) == (200, True), (model, name)
            asked += 1
    assert asked == 7
    with in_tenant(tenant):
        source.refresh_from_db()
        assert source.state == "paused"
        assert LogEntry.objects.count() == 0
        assert ApiKey.objects.filter(revoked_at__isnull=True).count() == 1


def test_a_command_without_the_csrf_token_is_refused(tenant: TenantRef, drain: Drain) -> None:
    source = fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant)
    client.handler.enforce_csrf_checks = True
    assert client.post(url(Source, "resume_one", source.pk), {"_form_submitted": "on"}).status_code == 403
    with in_tenant(tenant):
        source.refresh_from_db()
        assert source.state == "paused"


def test_an_operator_sees_why_a_source_is_paused_and_resumes_it(tenant: TenantRef, drain: Drain) -> None:
    canary = f"canary{uuid4().hex[:12]}"
    source = fill(tenant, drain, canary)
    client = client_for(tenant)
    with in_tenant(tenant):
        episode = Episode.objects.get()
        decision = Decision.objects.get()
    assert url(Episode, "change", episode.pk) in body(client.get(url(Source, "change", source.pk)))
    page = body(client.get(url(Episode, "change", episode.pk)))
    for part in (
        "3 of 3 attempts on", "3 × dns", "Computed from the events; no language model is connected.",
        "pause-failing-source v1: rule is", decision.input_hash, decision.policy_hash, "source.fetch_failed",
        "rule.matched", "episode.analyzed", "policy.evaluated", "intervention.applied", url(Source, "change", source.pk),
    ):  # fmt: skip
        assert part in page, part
    answer = client.post(url(Source, "resume_one", source.pk), {"_form_submitted": "on"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (200, url(Source, "change", source.pk))
    drain(tenant)
    with in_tenant(tenant):
        source.refresh_from_db()
        episode.refresh_from_db()
        assert (source.state, episode.status) == ("active", "resolved")
        assert episode.resolved_by.startswith("operator-")
        assert InterventionRecord.objects.get().status == "reverted"
        names = set(Event.objects.filter(correlation_id=episode.correlation_id).values_list("name", flat=True))
        assert {"source.fetch_failed", "source.resumed", "episode.resolved"} <= names
        entry = LogEntry.objects.get()
        assert (entry.object_id, entry.get_change_message()) == (str(source.pk), "Resumed.")


def test_pausing_asks_for_a_reason_and_keeps_it(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        source = Source.objects.create(kind="web", name="n", uri="https://n.example")
    client = client_for(tenant)
    where = url(Source, "pause_one", source.pk)
    assert "This field is required." in body(client.post(where, {"_form_submitted": "on", "reason": " "}))
    client.post(where, {"_form_submitted": "on", "reason": "licence under review"})
    with in_tenant(tenant):
        source.refresh_from_db()
        assert source.state == "paused"
        assert re.fullmatch(r"licence under review \(operator-.*\)", source.pause_reason)


def selected(client: Client, model: type[Model], action: str, *pks: UUID) -> Any:
    answer = client.post(
        url(model, "changelist"), {"action": action, "_selected_action": [str(pk) for pk in pks]}, follow=True
    )
    assert answer.status_code == 200
    return answer


def test_jobs_are_retried_and_cancelled_and_refusals_are_told(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        failed, waiting = (enqueue(tasks.analyse_episode, episode_id=uuid4()) for _ in range(2))
        Job.objects.filter(pk=failed).update(state=JobState.DISCARDED)
    client = client_for(tenant)
    assert "Retried: 1." in body(selected(client, Job, "retry_selected", failed))
    assert "Cancelled: 1." in body(selected(client, Job, "cancel_selected", waiting))
    assert "only one that failed or was cancelled can be retried" in body(
        selected(client, Job, "retry_selected", failed)
    )
    assert "This job is cancelled already." in body(selected(client, Job, "cancel_selected", waiting))
    with in_tenant(tenant):
        assert [Job.objects.get(pk=pk).state for pk in (failed, waiting)] == ["available", "cancelled"]


def test_a_command_cannot_reach_another_tenants_rows(two_tenants: tuple[TenantRef, TenantRef], drain: Drain) -> None:
    one, other = two_tenants
    source = fill(other, drain, f"canary{uuid4().hex[:12]}")
    with in_tenant(other):
        job = enqueue(tasks.analyse_episode, episode_id=uuid4())
        rule, decision = Rule.objects.get(), Decision.objects.get()
    client = client_for(one, Role.OWNER)
    selected(client, Job, "cancel_selected", job)
    selected(client, Rule, "disable_selected", rule.pk)
    selected(client, Source, "resume_selected", source.pk)
    selected(client, Decision, "replay_selected", decision.pk)
    client.post(url(Source, "resume_one", source.pk), {"_form_submitted": "on"})
    client.post(url(Job, "cancel_one", job), {"_form_submitted": "on"})
    with in_tenant(other):
        source.refresh_from_db()
        rule.refresh_from_db()
        assert (source.state, rule.enabled, Job.objects.get(pk=job).state) == ("paused", True, "available")
        assert LogEntry.objects.count() == 0


def test_only_owners_revoke_keys(tenant: TenantRef) -> None:
    with in_tenant(tenant):
        key, _ = create_api_key("ci")
    selected(client_for(tenant, Role.OPERATOR), ApiKey, "revoke_selected", key.pk)
    refused = client_for(tenant).post(url(ApiKey, "revoke_one", key.pk), {"_form_submitted": "on"})
    assert refused.status_code == 403
    with in_tenant(tenant):
        key.refresh_from_db()
        assert key.revoked_at is None
    selected(client_for(tenant, Role.OWNER), ApiKey, "revoke_selected", key.pk)
    with in_tenant(tenant):
        key.refresh_from_db()
        assert key.revoked_at is not None


def test_a_policy_is_published_from_the_console_and_a_wrong_one_is_not(tenant: TenantRef) -> None:
    client = client_for(tenant)
    rules: dict[str, Any] = {"conditions": [{"type": "failures_at_least", "count": 1}], "outcome": "deny"}
    given = {"name": "pause-failing-source", "description": "", "priority": "3", "rules": json.dumps(rules)}
    wrong = client.post(url(Policy, "add"), {**given, "rules": '{"conditions": [{"type": "nope"}], "outcome": "deny"}'})
    assert wrong.status_code == 200
    assert "/conditions/0" in body(wrong)
    with in_tenant(tenant):
        assert Policy.objects.count() == 1
        first = Policy.objects.get()
    assert client.post(url(Policy, "add"), given).status_code == 302
    with in_tenant(tenant):
        second = Policy.objects.get(active=True)
        assert (second.version, second.priority, second.rules) == (2, 3, rules)
    selected(client, Policy, "activate_selected", first.pk)
    with in_tenant(tenant):
        assert Policy.objects.get(active=True) == first


def test_a_decision_is_replayed_from_the_console(tenant: TenantRef, drain: Drain) -> None:
    fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant)
    with in_tenant(tenant):
        decision = Decision.objects.get()
    assert "Identical, byte for byte: 1 of 1." in body(selected(client, Decision, "replay_selected", decision.pk))
    assert "Identical, byte for byte." in body(client.get(url(Decision, "change", decision.pk)))


def test_every_figure_of_the_overview_opens_its_rows(tenant: TenantRef, drain: Drain) -> None:
    fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant)
    links = set(re.findall(r'<dd><a href="([^"]+)">', body(client.get(reverse("admin:index")))))
    assert len(links) > 20
    for link in links:
        answer = client.get(link.replace("&amp;", "&"))
        assert answer.status_code == 200, link


def test_the_consoles_own_pages_open(tenant: TenantRef, drain: Drain) -> None:
    source = fill(tenant, drain, f"canary{uuid4().hex[:12]}")
    client = client_for(tenant)
    client.post(url(Source, "resume_one", source.pk), {"_form_submitted": "on"})
    assert "Resumed." in body(client.get(url(Source, "history", source.pk)))
    for name in ("index", "password_change", "jsi18n"):
        assert client.get(reverse(f"admin:{name}")).status_code == 200, name
    for app in ("core", "tenants", "content", "vsm", "storage"):
        assert client.get(reverse("admin:app_list", args=(app,))).status_code == 200, app
    assert client.get(reverse("admin:login")).headers["location"] == reverse("admin:index")


def test_signing_out_ends_the_session_and_needs_a_post(tenant: TenantRef) -> None:
    client = client_for(tenant)
    assert client.get(reverse("admin:logout")).status_code == 405
    assert client.get(reverse("admin:index")).status_code == 200
    assert client.post(reverse("admin:logout")).headers["location"] == "/login/"
    assert client.get(reverse("admin:index")).status_code == 302


def test_a_demoted_operator_is_out_at_the_next_request(tenant: TenantRef) -> None:
    client = client_for(tenant)
    assert client.get(reverse("admin:index")).status_code == 200
    with in_system("tests"):
        Membership.objects.filter(tenant_id=tenant.id).update(role=Role.VIEWER)
    assert client.get(reverse("admin:index"), follow=True).status_code == 403


def test_nothing_registers_itself_past_the_consoles_own_rules() -> None:
    assert all(isinstance(found, OperatorModelAdmin) for found in operator_site._registry.values())
    assert Group not in operator_site._registry
