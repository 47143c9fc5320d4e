"""The viable system over HTTP: read by viewers, acted on by operators."""

from typing import Any, Protocol
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.api.permissions import RequiresOperator
from apps.core.api.serializers import read_body, read_query
from apps.vsm import selectors, services
from apps.vsm.api.serializers import (
    EpisodeDetail,
    EpisodeFilters,
    EpisodeOutput,
    PolicyFilters,
    PolicyOutput,
    ResolveInput,
    RuleOutput,
    SystemOutput,
    SystemsOutput,
)
from apps.vsm.models import Episode, Policy, Rule


class HasLabel(Protocol):
    """What a command needs of whoever gives it."""

    @property
    def label(self) -> str: ...


class SystemsView(APIView):
    """The five systems as last observed."""

    @extend_schema(operation_id="systems_list", responses=SystemsOutput)
    def get(self, request: Request) -> Response:
        return Response({"results": SystemOutput(selectors.current_states(), many=True).data})


@extend_schema_view(get=extend_schema(operation_id="episodes_list", parameters=[EpisodeFilters]))
class EpisodesView(ListAPIView[Episode]):
    """Episodes, newest first."""

    serializer_class = EpisodeOutput

    def get_queryset(self) -> QuerySet[Episode]:
        given = read_query(self.request, EpisodeFilters)
        rows = selectors.episodes_visible()
        if "resolved" in given:
            rows = rows.filter(resolved_at__isnull=not given.pop("resolved"))
        return rows.filter(**given)


class EpisodeView(APIView):
    """One episode with its analysis, decision, interventions and timeline."""

    @extend_schema(operation_id="episodes_read", responses=EpisodeDetail)
    def get(self, request: Request, episode_id: UUID) -> Response:
        return Response(_detail(selectors.episode_by_id(episode_id)))


class ResolveEpisodeView(APIView):
    """End an episode; what was done because of it is undone."""

    permission_classes = (RequiresOperator,)

    @extend_schema(operation_id="episodes_resolve", request=ResolveInput, responses=EpisodeDetail)
    def post(self, request: Request, episode_id: UUID) -> Response:
        given = read_body(request, ResolveInput)
        principal: HasLabel = request.user  # type: ignore[assignment]  # our authenticators put a principal there
        services.resolve_episode(episode_id, actor=principal.label, resolution=given["resolution"])
        return Response(_detail(selectors.episode_by_id(episode_id)))


@extend_schema_view(get=extend_schema(operation_id="policies_list", parameters=[PolicyFilters]))
class PoliciesView(ListAPIView[Policy]):
    """Policy versions, newest first."""

    serializer_class = PolicyOutput

    def get_queryset(self) -> QuerySet[Policy]:
        return Policy.objects.filter(**read_query(self.request, PolicyFilters))


@extend_schema_view(get=extend_schema(operation_id="rules_list"))
class RulesView(ListAPIView[Rule]):
    """The rules that watch the event log."""

    queryset = Rule.objects.all()
    serializer_class = RuleOutput


def _detail(episode: Episode) -> Any:
    episode.timeline = selectors.episode_timeline(episode)  # type: ignore[attr-defined]  # read by EpisodeDetail
    return EpisodeDetail(episode).data
