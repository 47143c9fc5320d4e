"""`manage.py policy`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.content.events import SourceFetchFailed
from apps.content.models import Source
from apps.core.events import publish
from apps.core.tenancy import TenantRef, in_tenant
from apps.vsm.models import Decision, Episode


@pytest.fixture
def decided(tenant: TenantRef, drain: Callable[[TenantRef], int]) -> TenantRef:
    with in_tenant(tenant):
        source = Source.objects.create(kind="web", name="n", uri="https://n.example")
        for attempt in range(3):
            publish(
                SourceFetchFailed(
                    source_id=source.pk, document_id=uuid4(), url="https://n.example/", code="dns", detail="x",
                    attempt=attempt,
                )
            )  # fmt: skip
    drain(tenant)
    return tenant


def run(capsys: pytest.CaptureFixture[str], *args: str, tenant: TenantRef) -> list[dict[str, Any]]:
    call_command("policy", *args, "--tenant", tenant.slug, "--json")
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_a_replay_says_whether_the_decision_is_the_same(decided: TenantRef, capsys: pytest.CaptureFixture[str]) -> None:
    with in_tenant(decided):
        decision = Decision.objects.get()
    (row,) = run(capsys, "replay", str(decision.pk), tenant=decided)
    assert row == {
        "decision": str(decision.pk),
        "recorded": "allow pause_source",
        "replayed": "allow pause_source",
        "identical": True,
        "differences": "",
    }
    with in_tenant(decided):
        Decision.objects.update(input={})
    with pytest.raises(SystemExit) as ended:
        run(capsys, "replay", str(decision.pk), tenant=decided)
    assert ended.value.code == 1
    with pytest.raises(CommandError, match="There is no decision"):
        run(capsys, "replay", str(uuid4()), tenant=decided)


def test_a_dry_run_tries_other_rules_on_real_episodes(
    decided: TenantRef, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(
        json.dumps(
            {"conditions": [{"type": "failures_at_least", "count": 9}], "outcome": "allow", "action": "pause_source"}
        )
    )
    (same,) = run(capsys, "dry-run", tenant=decided)
    assert (same["would be"], same["was"]) == ("allow pause_source", "allow")
    options = ("dry-run", "--file", str(rules), "--name", "pause-failing-source")
    (other,) = run(capsys, *options, tenant=decided)
    assert (other["would be"], other["was"]) == ("deny", "allow")
    with in_tenant(decided):
        assert (Episode.objects.count(), Decision.objects.count()) == (1, 1)


def test_a_list_shows_versions_as_a_table(tenant: TenantRef, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("policy", "list", "--tenant", tenant.slug)
    assert "pause-failing-source v1" in capsys.readouterr().out
