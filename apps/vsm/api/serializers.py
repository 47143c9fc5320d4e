"""The shapes of the viable system's API."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from apps.core.api.serializers import StrictSerializer
from apps.core.models import Event
from apps.vsm.models import (
    Decision,
    Episode,
    EpisodeStatus,
    InterventionRecord,
    Policy,
    RiskLevel,
    Rule,
    SystemState,
)


class SystemOutput(serializers.ModelSerializer[SystemState]):
    """One of the five systems as last observed."""

    name = serializers.CharField(source="get_system_display", read_only=True)
    changed_at = serializers.DateTimeField(source="created_at", read_only=True)
    age_s = serializers.SerializerMethodField(help_text="Seconds since state or figures last changed.")

    class Meta:
        model = SystemState
        fields = ("system", "name", "state", "version", "figures", "changed_at", "age_s")

    def get_age_s(self, row: SystemState) -> int:
        return int((timezone.now() - row.created_at).total_seconds())


class SystemsOutput(serializers.Serializer[Any]):
    results = SystemOutput(many=True)


class RuleOutput(serializers.ModelSerializer[Rule]):
    class Meta:
        model = Rule
        fields = (
            "id",
            "name",
            "version",
            "title",
            "description",
            "pattern",
            "where",
            "group_by",
            "window_s",
            "threshold",
            "cooldown_s",
            "enabled",
        )


class PolicyOutput(serializers.ModelSerializer[Policy]):
    class Meta:
        model = Policy
        fields = (
            "id",
            "name",
            "version",
            "description",
            "rules",
            "active",
            "priority",
            "wasm_hash",
            "effective_from",
            "effective_to",
            "created_at",
        )


class DecisionOutput(serializers.ModelSerializer[Decision]):
    class Meta:
        model = Decision
        fields = (
            "id",
            "policy",
            "policies",
            "input",
            "input_hash",
            "policy_hash",
            "outcome",
            "action",
            "reason",
            "created_at",
        )


class InterventionOutput(serializers.ModelSerializer[InterventionRecord]):
    class Meta:
        model = InterventionRecord
        fields = (
            "id",
            "decision",
            "action",
            "target_id",
            "status",
            "reason",
            "created_at",
            "reverted_at",
            "reverted_by",
        )


class TimelineEntry(serializers.ModelSerializer[Event]):
    class Meta:
        model = Event
        fields = ("id", "seq", "name", "payload", "correlation_id", "occurred_at")


class EpisodeOutput(serializers.ModelSerializer[Episode]):
    rule = serializers.CharField(source="rule.name", read_only=True)

    class Meta:
        model = Episode
        fields = (
            "id",
            "title",
            "content",
            "rule",
            "source_kind",
            "subject_id",
            "correlation_id",
            "status",
            "analysis_method",
            "risk_level",
            "tags",
            "created_at",
            "resolved_at",
            "resolved_by",
            "resolution",
        )


class EpisodeDetail(EpisodeOutput):
    """An episode with everything that is known of it: the analysis, the decision, what was done, and each step."""

    decisions = DecisionOutput(many=True, read_only=True)
    interventions = InterventionOutput(many=True, read_only=True)
    timeline = TimelineEntry(many=True, read_only=True)

    class Meta(EpisodeOutput.Meta):
        fields = (*EpisodeOutput.Meta.fields, "analysis", "decisions", "interventions", "timeline")  # type: ignore[assignment]  # more fields than its base


class EpisodeFilters(StrictSerializer):
    status = serializers.ChoiceField(choices=EpisodeStatus.choices, required=False)
    risk_level = serializers.ChoiceField(choices=RiskLevel.choices, required=False)
    subject_id = serializers.CharField(max_length=200, required=False)
    resolved = serializers.BooleanField(required=False)


class ResolveInput(StrictSerializer):
    resolution = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class PolicyFilters(StrictSerializer):
    name = serializers.CharField(max_length=100, required=False)
    active = serializers.BooleanField(required=False)
