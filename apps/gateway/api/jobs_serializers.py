"""Jobs in the API."""

from typing import ClassVar

from rest_framework import serializers

from apps.core.api.serializers import StrictSerializer
from apps.core.models import Job, JobState


class JobSerializer(serializers.ModelSerializer[Job]):
    """One job: what it is, where it stands, and why it stopped."""

    class Meta:
        model = Job
        fields: ClassVar[list[str]] = [
            "id",
            "queue",
            "name",
            "args",
            "state",
            "priority",
            "attempt",
            "max_attempts",
            "progress",
            "stage",
            "cause_code",
            "cause_detail",
            "correlation_id",
            "worker",
            "scheduled_at",
            "cancel_requested_at",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class JobFilterSerializer(StrictSerializer):
    """Filters of the list."""

    state = serializers.ChoiceField(JobState.choices, required=False)
    queue = serializers.CharField(max_length=32, required=False)
    name = serializers.CharField(max_length=100, required=False)
    correlation_id = serializers.UUIDField(required=False)
