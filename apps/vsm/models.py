"""Tables of the viable system, one set per tenant."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from pgvector.django import VectorField

from apps.core.ids import uuid7


class System(models.IntegerChoices):
    OPERATIONS = 1, "S1 Operations"
    COORDINATION = 2, "S2 Coordination"
    CONTROL = 3, "S3 Control"
    INTELLIGENCE = 4, "S4 Intelligence"
    POLICY = 5, "S5 Policy"


class EpisodeStatus(models.TextChoices):
    OPEN = "open"
    ANALYZING = "analyzing"
    ANALYZED = "analyzed"
    DECIDED = "decided"
    RESOLVED = "resolved"
    ERROR = "error"


class RiskLevel(models.TextChoices):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class AnalysisMethod(models.TextChoices):
    LLM = "llm", "LLM"
    STATISTICAL = "statistical"


class Outcome(models.TextChoices):
    ALLOW = "allow"
    DENY = "deny"
    ERROR = "error"


class InterventionStatus(models.TextChoices):
    APPLIED = "applied"
    REVERTED = "reverted"
    FAILED = "failed"


class SystemState(models.Model):
    """One observation of one system; a row is added only when the state or a figure has changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    system = models.PositiveSmallIntegerField(choices=System.choices)
    state = models.CharField(max_length=20)
    figures = models.JSONField(default=dict)
    version = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["system", "version"], name="systemstate_version"),
            models.CheckConstraint(condition=Q(system__range=(1, 5)), name="systemstate_system_1_to_5"),
        ]

    def __str__(self) -> str:
        return f"S{self.system} {self.state}"


class Audit(models.Model):
    """S3*: a sample of indexed documents checked against what storage and the index really hold."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    population = models.PositiveIntegerField()
    sampled = models.PositiveIntegerField()
    mismatches = models.JSONField(
        default=list, help_text="One entry per faulty document: what, and which check failed."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"{len(self.mismatches)} of {self.sampled} mismatched"


class Rule(models.Model):
    """A goldrush rule: how many matching events of one subject, in what time, open an episode."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100, unique=True)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=120, help_text="How an episode of this rule is called.")
    description = models.TextField(blank=True, default="")
    pattern = models.CharField(max_length=100, help_text="Topic, such as source.fetch_failed or source.*")
    where = models.JSONField(default=list, blank=True, help_text="Conditions on the payload: field, op, value.")
    group_by = models.CharField(max_length=100, help_text="Payload field that names the subject.")
    success_pattern = models.CharField(
        max_length=100, blank=True, default="", help_text="Topic of the opposite outcome."
    )
    success_where = models.JSONField(default=list, blank=True)
    window_s = models.PositiveIntegerField()
    threshold = models.PositiveIntegerField()
    cooldown_s = models.PositiveIntegerField(default=0)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Episode(models.Model):
    """Something that asks for attention: from the rule that matched to how it ended."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    title = models.CharField(max_length=300)
    content = models.TextField(blank=True, default="")
    source_kind = models.CharField(max_length=40, help_text="What the subject is, such as source.")
    subject_id = models.CharField(max_length=200)
    rule = models.ForeignKey(Rule, on_delete=models.PROTECT, related_name="episodes")
    correlation_id = models.UUIDField()
    window_from = models.DateTimeField(help_text="Where the evidence begins.")
    event_ids = models.JSONField(default=list, help_text="The events that the rule counted.")
    status = models.CharField(max_length=10, choices=EpisodeStatus.choices, default=EpisodeStatus.OPEN)
    analysis = models.JSONField(default=dict, blank=True)
    analysis_method = models.CharField(max_length=12, choices=AnalysisMethod.choices, blank=True, default="")
    risk_level = models.CharField(max_length=8, choices=RiskLevel.choices, blank=True, default="")
    tags = models.JSONField(default=list, blank=True)
    embedding = VectorField(null=True, blank=True)
    resolution = models.TextField(blank=True, default="")
    resolved_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject_id"],
                condition=Q(resolved_at__isnull=True),
                name="episode_one_open_per_subject",
            ),
        ]
        indexes = [
            models.Index(fields=["correlation_id"], name="episode_correlation"),
            models.Index(fields=["subject_id", "-created_at"], name="episode_subject"),
        ]

    def __str__(self) -> str:
        return self.title


class Policy(models.Model):
    """One version of one policy. Its rules never change: a change is a new version."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField()
    description = models.TextField(blank=True, default="")
    rules = models.JSONField()
    active = models.BooleanField(default=False)
    priority = models.IntegerField(default=0, help_text="Higher is asked first.")
    wasm_hash = models.CharField(
        max_length=64, blank=True, default="", help_text="Of the compiled form, when there is one."
    )
    effective_from = models.DateTimeField(null=True, blank=True)
    effective_to = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="policy_name_version"),
            models.UniqueConstraint(fields=["name"], condition=Q(active=True), name="policy_one_active_version"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Decision(models.Model):
    """What the policies said about one episode, with all that is needed to ask them again."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    episode = models.ForeignKey(Episode, on_delete=models.PROTECT, related_name="decisions")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, blank=True, related_name="decisions")
    policies = models.JSONField(default=list, help_text="Every policy version that was asked: id, name, version, hash.")
    input = models.JSONField()
    input_hash = models.CharField(max_length=64)
    policy_hash = models.CharField(max_length=64)
    verdict_hash = models.CharField(max_length=64)
    outcome = models.CharField(max_length=5, choices=Outcome.choices)
    action = models.CharField(max_length=60, blank=True, default="")
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["episode"], name="decision_one_per_episode")]

    def __str__(self) -> str:
        return f"{self.outcome} {self.action}".strip()


class InterventionRecord(models.Model):
    """One thing S3 did because of one decision, and how it was undone."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    episode = models.ForeignKey(Episode, on_delete=models.PROTECT, related_name="interventions")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="interventions")
    action = models.CharField(max_length=60)
    target_id = models.UUIDField()
    status = models.CharField(max_length=8, choices=InterventionStatus.choices)
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    reverted_at = models.DateTimeField(null=True, blank=True)
    reverted_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name = "intervention"
        constraints = [models.UniqueConstraint(fields=["decision"], name="intervention_one_per_decision")]
        indexes = [models.Index(fields=["target_id", "status"], name="intervention_target")]

    def __str__(self) -> str:
        return f"{self.action} {self.status}"
