"""The viable system over HTTP: who may read, who may act, and what is refused."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.content.events import SourceFetchFailed
from apps.content.models import Source
from apps.core.events import publish
from apps.core.tenancy import TenantRef, in_tenant
from apps.tenants.services import create_api_key
from apps.vsm import services
from apps.vsm.models import Episode

Drain = Callable[[TenantRef], int]


def api(ref: TenantRef, role: str = "operator") -> Client:
    with in_tenant(ref):
        _, key = create_api_key(f"test {role}", role=role)
    return Client(headers={"host": f"{ref.slug}.localhost", "authorization": f"Bearer {key}"})


def open_episode(ref: TenantRef, drain: Drain, host: str = "down.example") -> Episode:
    with in_tenant(ref):
        source = Source.objects.create(kind="web", name=host, uri=f"https://{host}")
        for attempt in range(3):
            publish(
                SourceFetchFailed(
                    source_id=source.pk, document_id=uuid4(), url=f"https://{host}/", code="dns", detail="x",
                    attempt=attempt,
                )
            )  # fmt: skip
    drain(ref)
    with in_tenant(ref):
        return Episode.objects.get(subject_id=str(source.pk))


def test_an_episode_is_told_with_its_evidence_and_steps(tenant: TenantRef, drain: Drain) -> None:
    episode = open_episode(tenant, drain)
    client = api(tenant, "viewer")
    (listed,) = client.get("/v1/episodes").json()["results"]
    assert (listed["id"], listed["status"], listed["rule"]) == (str(episode.pk), "decided", "repeated-fetch-failures")
    assert "analysis" not in listed
    found = client.get(f"/v1/episodes/{episode.pk}").json()
    assert found["analysis"]["evidence"]["failures"] == 3
    (decision,) = found["decisions"]
    assert (decision["outcome"], decision["action"]) == ("allow", "pause_source")
    (intervention,) = found["interventions"]
    assert (intervention["status"], intervention["decision"]) == ("applied", decision["id"])
    assert [entry["name"] for entry in found["timeline"]][3:] == [
        "rule.matched", "episode.created", "episode.analyzed", "policy.evaluated", "source.paused",
        "intervention.applied",
    ]  # fmt: skip
    looped = [entry for entry in found["timeline"] if entry["name"] != "source.fetch_failed"]
    assert {entry["correlation_id"] for entry in looped} == {found["correlation_id"]}


def test_operators_resolve_episodes_and_viewers_do_not(tenant: TenantRef, drain: Drain) -> None:
    episode = open_episode(tenant, drain)
    where = f"/v1/episodes/{episode.pk}/resolve"
    for role in ("viewer", "editor"):
        refused = api(tenant, role).post(where, {}, content_type="application/json")
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    with in_tenant(tenant):
        assert Episode.objects.get().resolved_at is None
    client = api(tenant)
    done = client.post(where, {"resolution": "The host is back."}, content_type="application/json").json()
    assert (done["status"], done["resolution"], done["resolved_by"]) == (
        "resolved",
        "The host is back.",
        "key:test operator",
    )
    assert done["interventions"][0]["status"] == "reverted"
    again = client.post(where, {}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "episode_resolved")
    unknown = client.post(where, {"why": "x"}, content_type="application/json")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "field_unknown")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "decided"}, 2),
        ({"status": "open"}, 0),
        ({"resolved": "false"}, 2),
        ({"resolved": "true"}, 0),
        ({"risk_level": "high", "limit": "1"}, 1),
    ],
)
def test_episodes_are_filtered(tenant: TenantRef, drain: Drain, query: dict[str, str], expected: int) -> None:
    for host in ("a.example", "b.example"):
        open_episode(tenant, drain, host)
    assert len(api(tenant).get("/v1/episodes", query).json()["results"]) == expected


@pytest.mark.parametrize("query", [{"status": "broken"}, {"resolved": "perhaps"}, {"order": "id"}, {"limit": "0"}])
def test_a_filter_that_is_not_understood_is_refused(tenant: TenantRef, query: dict[str, str]) -> None:
    assert api(tenant).get("/v1/episodes", query).status_code == 422


def test_systems_policies_and_rules_are_listed(tenant: TenantRef) -> None:
    client = api(tenant, "viewer")
    assert client.get("/v1/systems").json() == {"results": []}
    with in_tenant(tenant):
        services.observe_systems()
    systems = client.get("/v1/systems").json()["results"]
    assert [(row["system"], row["name"], row["state"]) for row in systems] == [
        (1, "S1 Operations", "idle"),
        (2, "S2 Coordination", "clear"),
        (3, "S3 Control", "steady"),
        (4, "S4 Intelligence", "watching"),
        (5, "S5 Policy", "governing"),
    ]
    (policy,) = client.get("/v1/policies", {"active": "true"}).json()["results"]
    assert (policy["name"], policy["version"], policy["active"]) == ("pause-failing-source", 1, True)
    assert client.get("/v1/policies", {"active": "false"}).json()["results"] == []
    (rule,) = client.get("/v1/rules").json()["results"]
    assert (rule["name"], rule["threshold"], rule["window_s"]) == ("repeated-fetch-failures", 3, 600)


def test_nothing_of_one_tenant_is_in_anothers_answers(two_tenants: tuple[TenantRef, TenantRef], drain: Drain) -> None:
    one, other = two_tenants
    foreign = open_episode(other, drain)
    client = api(one, "owner")
    answers: list[Any] = [client.get(f"/v1/{name}").json() for name in ("episodes", "policies", "rules", "systems")]
    assert not answers[0]["results"]
    with in_tenant(other):
        assert all(str(foreign.rule_id) != row["id"] for row in answers[2]["results"])
    assert client.get(f"/v1/episodes/{foreign.pk}").json()["code"] == "episode_not_found"
    refused = client.post(f"/v1/episodes/{foreign.pk}/resolve", {}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (404, "episode_not_found")
    with in_tenant(other):
        foreign.refresh_from_db()
        assert foreign.resolved_at is None


def test_strangers_are_refused(tenant: TenantRef) -> None:
    client = Client(headers={"host": f"{tenant.slug}.localhost"})
    for name in ("systems", "episodes", "policies", "rules", f"episodes/{uuid4()}"):
        answer = client.get(f"/v1/{name}")
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
