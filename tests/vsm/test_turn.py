"""One whole turn of the viable system over real HTTP: a site breaks, is left alone, is mended, and is read again."""

import socket
from collections.abc import Callable, Iterator

import pytest
from django.test import Client, override_settings

from apps.content.models import Document, Source
from apps.content.services.documents import retry_document
from apps.content.services.ingest import ingest_url
from apps.core.models import Event
from apps.core.tenancy import TenantRef, in_tenant
from apps.intelligence import ports
from apps.intelligence.conf import intelligence_settings
from apps.tenants.services import create_api_key
from apps.vsm import selectors, services
from apps.vsm.models import Decision, Episode, InterventionRecord
from tests.content.embedding import HashEmbedder
from tests.factories.loopback import LOOPBACK, reply, serving

PAGE = b"<html lang=en><title>Pumps</title><h1>Pumps</h1><p>A pump moves water uphill.</p></html>"


class Site:
    """Answers 503 until it is mended; counts how often it was asked."""

    def __init__(self) -> None:
        self.is_broken = True
        self.asked: list[str] = []

    def __call__(self, peer: socket.socket, path: str, headers: dict[str, str]) -> None:
        self.asked.append(path)
        if self.is_broken:
            reply(peer, status="503 Service Unavailable")
        else:
            reply(peer, PAGE, Content_Type="text/html; charset=utf-8")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Site, str]]:
    monkeypatch.setitem(ports._embedders, intelligence_settings().embedding_model, HashEmbedder())
    answers = Site()
    with override_settings(EGRESS_ALLOW_CIDRS=LOOPBACK), serving(answers) as server:
        yield answers, server.url("")


def test_a_broken_site_is_paused_explained_resumed_and_read(
    site: tuple[Site, str], tenant: TenantRef, drain: Callable[[TenantRef], int]
) -> None:
    answers, base = site
    with in_tenant(tenant):
        ingest_url(f"{base}/one.html")
    drain(tenant)

    with in_tenant(tenant):
        source, episode = Source.objects.get(), Episode.objects.get()
        assert (source.state, source.paused_episode_id) == ("paused", episode.pk)
        codes = {item["value"] for item in episode.analysis["evidence"]["codes"]}
        told = set(Event.objects.filter(name="source.fetch_failed").values_list("payload__code", flat=True))
        assert codes == told
        assert (Decision.objects.get().outcome, InterventionRecord.objects.get().status) == ("allow", "applied")
        services.observe_systems()
        assert {row.system: row.state for row in selectors.current_states()}[1] == "stalled"

        asked = len(answers.asked)
        ingest_url(f"{base}/two.html")
    drain(tenant)
    with in_tenant(tenant):
        held = Document.objects.get(uri=f"{base}/two.html")
        assert (held.status, len(answers.asked)) == ("held", asked)
        _, key = create_api_key("ops")

    answers.is_broken = False
    client = Client(headers={"host": f"{tenant.slug}.localhost", "authorization": f"Bearer {key}"})
    assert client.post(f"/v1/sources/{source.pk}/resume", {}, content_type="application/json").status_code == 200
    drain(tenant)

    with in_tenant(tenant):
        held.refresh_from_db()
        episode.refresh_from_db()
        assert (held.status, held.title) == ("ready", "Pumps")
        assert (episode.status, episode.resolved_by) == ("resolved", "key:ops")
        assert InterventionRecord.objects.get().status == "reverted"
        retry_document(Document.objects.get(uri=f"{base}/one.html").pk)
    drain(tenant)
    with in_tenant(tenant):
        assert set(Document.objects.values_list("status", flat=True)) == {"ready"}
        services.observe_systems()
        states = {row.system: row.state for row in selectors.current_states()}
        assert (states[3], states[4], states[5]) == ("steady", "watching", "governing")
        story = [event.name for event in selectors.episode_timeline(episode)]
    assert story[:3] == ["source.fetch_failed"] * 3
    assert [name for name in story if name != "source.fetch_failed"] == [
        "rule.matched", "episode.created", "episode.analyzed", "policy.evaluated", "source.paused",
        "intervention.applied", "source.resumed", "intervention.reverted", "episode.resolved",
    ]  # fmt: skip
