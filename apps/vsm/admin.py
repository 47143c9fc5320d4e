"""Episodes, rules, policies, decisions and interventions in the operator console, each with its evidence."""

import json
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.admin_site import (
    OperatorModelAdmin,
    ReasonForm,
    WithinFilter,
    command,
    label,
    link_to,
    operator_site,
    preformatted,
    url_of,
)
from apps.core.errors import DomainError
from apps.vsm import selectors, services
from apps.vsm.dashboard import in_words
from apps.vsm.models import (
    Audit,
    Decision,
    Episode,
    EpisodeStatus,
    InterventionRecord,
    InterventionStatus,
    Outcome,
    Policy,
    RiskLevel,
    Rule,
    SystemState,
)
from apps.vsm.policies import parse_rules
from apps.vsm.rules import SHIPPED_POLICIES

STATUS_COLOURS = {
    EpisodeStatus.OPEN: "warning",
    EpisodeStatus.ANALYZING: "info",
    EpisodeStatus.ANALYZED: "info",
    EpisodeStatus.DECIDED: "primary",
    EpisodeStatus.RESOLVED: "success",
    EpisodeStatus.ERROR: "danger",
}
RISK_COLOURS = {
    RiskLevel.LOW: "success",
    RiskLevel.MEDIUM: "info",
    RiskLevel.HIGH: "warning",
    RiskLevel.CRITICAL: "danger",
}
OUTCOME_COLOURS = {Outcome.ALLOW: "success", Outcome.DENY: "warning", Outcome.ERROR: "danger"}
INTERVENTION_COLOURS = {
    InterventionStatus.APPLIED: "warning",
    InterventionStatus.REVERTED: "success",
    InterventionStatus.FAILED: "danger",
}


class YesNoFilter(admin.SimpleListFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("yes", "Yes"), ("no", "No"))


class ResolvedFilter(YesNoFilter):
    title = "resolved"
    parameter_name = "resolved"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Episode]) -> QuerySet[Episode]:
        return queryset.filter(resolved_at__isnull=self.value() == "no") if self.value() else queryset


class AnalysedFilter(YesNoFilter):
    title = "analysed"
    parameter_name = "analysed"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Episode]) -> QuerySet[Episode]:
        match self.value():
            case "yes":
                return queryset.exclude(analysis_method="")
            case "no":
                return queryset.filter(analysis_method="")
            case _:
                return queryset


@admin.register(Episode, site=operator_site)
class EpisodeAdmin(OperatorModelAdmin):
    """What asked for attention: the evidence, the analysis, the decision and why, and every step with its time."""

    list_display = (
        "title",
        "status_label",
        "risk_label",
        "analysis_method",
        "rule",
        "created_at",
        "resolved_at",
        "resolved_by",
    )
    list_filter = ("status", "risk_level", ResolvedFilter, AnalysedFilter, "rule", WithinFilter)
    list_select_related = ("rule",)
    search_fields = ("title", "subject_id", "content")
    uuid_search_fields = ("id", "correlation_id")
    actions = ("resolve_selected",)
    actions_detail = ("resolve_one",)
    change_form_outer_before_template = "admin/vsm/episode.html"

    @label("Status", STATUS_COLOURS, ordering="status")
    def status_label(self, row: Episode) -> str:
        return row.status

    @label("Risk", RISK_COLOURS, ordering="risk_level")
    def risk_label(self, row: Episode) -> str:
        return row.risk_level

    def get_fieldsets(self, request: HttpRequest, obj: Episode | None = None) -> list[Any]:
        """The page is the story above; the row's fields are all in it."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The whole story on one page."""
        episode = self.get_object(request, object_id)
        story: dict[str, Any] = {}
        if episode is not None:
            story = {
                "decision": episode.decisions.select_related("policy").first(),
                "interventions": episode.interventions.all(),
                "timeline": in_words(selectors.episode_timeline(episode)),
                "evidence": episode.analysis.get("evidence"),
                "subject_url": url_of(f"content_{episode.source_kind}", episode.subject_id),
            }
        response: HttpResponse = super().change_view(request, object_id, form_url, {**(extra_context or {}), **story})
        return response

    @admin.action(description="Resolve", permissions=["operate"])
    def resolve_selected(self, request: HttpRequest, rows: QuerySet[Episode]) -> None:
        self.act_on_each(
            request, rows, "Resolved", lambda row: services.resolve_episode(row.pk, actor=str(request.user))
        )

    @command(
        "Resolve",
        question="Resolve this episode?",
        explanation="Interventions of it that still hold are undone.",
        form=ReasonForm,
    )
    def resolve_one(self, request: HttpRequest, form: forms.Form, object_id: str) -> HttpResponse:
        reason = form.cleaned_data["reason"]
        return self.act_on_one(
            request,
            object_id,
            f"Resolved: {reason}",
            lambda row: services.resolve_episode(row.pk, actor=str(request.user), resolution=reason),
        )


@admin.register(Rule, site=operator_site)
class RuleAdmin(OperatorModelAdmin):
    list_display = ("name", "version", "pattern", "group_by", "threshold", "window_s", "cooldown_s", "enabled")
    list_filter = ("enabled",)
    search_fields = ("name", "title", "description")
    actions = ("enable_selected", "disable_selected")
    fields = (
        "name",
        "version",
        "title",
        "description",
        "enabled",
        "pattern",
        "where",
        "group_by",
        "threshold",
        "window_s",
        "cooldown_s",
        "success_pattern",
        "success_where",
        "updated_at",
    )

    @admin.action(description="Enable", permissions=["operate"])
    def enable_selected(self, request: HttpRequest, rows: QuerySet[Rule]) -> None:
        self.act_on_each(request, rows, "Enabled", lambda row: services.set_rule_enabled(row.pk, enabled=True))

    @admin.action(description="Disable", permissions=["operate"])
    def disable_selected(self, request: HttpRequest, rows: QuerySet[Rule]) -> None:
        self.act_on_each(request, rows, "Disabled", lambda row: services.set_rule_enabled(row.pk, enabled=False))


class IndentedJson(json.JSONEncoder):
    """JSON as people write it, for the form's text area."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2})


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]  # django-stubs: generic at check time only
    """A new version of a policy; refused unless every condition is one that exists."""

    rules = forms.JSONField(
        encoder=IndentedJson,
        initial=SHIPPED_POLICIES[0].rules,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false"}),
        help_text="Conditions are ANDed. Saving a name that exists makes its next version, in force at once.",
    )

    class Meta:
        model = Policy
        fields = ("name", "description", "priority", "effective_from", "effective_to", "rules")

    def clean_rules(self) -> Any:
        rules = self.cleaned_data["rules"]
        if not isinstance(rules, dict):
            raise forms.ValidationError("A policy is one JSON object.")
        try:
            parse_rules(rules)
        except DomainError as error:
            raise forms.ValidationError(error.detail) from None
        return rules


@admin.register(Policy, site=operator_site)
class PolicyAdmin(OperatorModelAdmin):
    """Every version. A change is a new version; the one in force can be switched, which is also the way back."""

    list_display = ("name", "version", "active", "priority", "effective_from", "effective_to", "created_at")
    list_filter = ("active", "name")
    search_fields = ("name", "description")
    form = PolicyForm
    actions = ("activate_selected", "retire_selected")
    readonly_fields = ("version", "active", "shown_rules", "dry_run", "wasm_hash", "created_at", "id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_operate_permission(request))

    def get_fields(self, request: HttpRequest, obj: Policy | None = None) -> Sequence[str]:
        if obj is None:
            return PolicyForm.Meta.fields
        return (
            "name",
            "version",
            "active",
            "description",
            "priority",
            "effective_from",
            "effective_to",
            "shown_rules",
            "dry_run",
            "wasm_hash",
            "created_at",
            "id",
        )

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        """Adding a policy of a name that exists publishes its next version."""
        given = form.cleaned_data
        published = services.publish_policy(
            given["name"],
            given["rules"],
            description=given["description"],
            priority=given["priority"],
            effective_from=given["effective_from"],
            effective_to=given["effective_to"],
        )
        obj.pk, obj.version, obj.active = published.pk, published.version, True

    @admin.display(description="Rules")
    def shown_rules(self, row: Policy) -> SafeString:
        return preformatted(json.dumps(row.rules, indent=2))

    @admin.display(description="On the newest episodes")
    def dry_run(self, row: Policy) -> SafeString:
        """What this version would decide, beside what was decided."""
        episodes = selectors.episodes_visible().exclude(analysis_method="")[:10]
        runs = [services.dry_run_policies(item.pk, candidate=row.rules, name=row.name) for item in episodes]
        return render_to_string("admin/vsm/dry_run.html", {"runs": runs})

    @admin.action(description="Put in force", permissions=["operate"])
    def activate_selected(self, request: HttpRequest, rows: QuerySet[Policy]) -> None:
        self.act_on_each(request, rows, "Put in force", lambda row: services.activate_policy(row.pk))

    @admin.action(description="Take out of force", permissions=["operate"])
    def retire_selected(self, request: HttpRequest, rows: QuerySet[Policy]) -> None:
        self.act_on_each(request, rows, "Taken out of force", lambda row: services.retire_policy(row.pk))


@admin.register(Decision, site=operator_site)
class DecisionAdmin(OperatorModelAdmin):
    """What was decided, on what, under which versions; and whether it can be repeated."""

    list_display = ("episode", "outcome_label", "action", "policy", "short_reason", "created_at")
    list_filter = ("outcome", "policy", WithinFilter)
    list_select_related = ("episode", "policy")
    search_fields = ("reason", "action")
    uuid_search_fields = ("id", "episode_id")
    actions = ("replay_selected",)
    fields = (
        "episode",
        "outcome",
        "action",
        "reason",
        "policy",
        "asked",
        "seen",
        "input_hash",
        "policy_hash",
        "verdict_hash",
        "replayed",
        "created_at",
        "id",
    )
    readonly_fields = ("asked", "seen", "replayed", "id")

    @label("Outcome", OUTCOME_COLOURS, ordering="outcome")
    def outcome_label(self, row: Decision) -> str:
        return row.outcome

    @admin.display(description="Reason")
    def short_reason(self, row: Decision) -> str:
        return row.reason[:140]

    @admin.display(description="Policies asked")
    def asked(self, row: Decision) -> SafeString:
        return preformatted(json.dumps(row.policies, indent=2))

    @admin.display(description="Input")
    def seen(self, row: Decision) -> SafeString:
        return preformatted(json.dumps(row.input, indent=2))

    @admin.display(description="Asked again now")
    def replayed(self, row: Decision) -> str:
        replay = services.replay_decision(row.pk)
        return "Identical, byte for byte." if replay.identical else f"Differs: {'; '.join(replay.differences)}."

    @admin.action(description="Replay", permissions=["operate"])
    def replay_selected(self, request: HttpRequest, rows: QuerySet[Decision]) -> None:
        replays = [services.replay_decision(row.pk) for row in rows]
        same = sum(replay.identical for replay in replays)
        if same:
            messages.success(request, f"Identical, byte for byte: {same} of {len(replays)}.")
        for replay in replays:
            if not replay.identical:
                messages.error(request, f"{replay.decision_id}: {'; '.join(replay.differences)}.")


@admin.register(InterventionRecord, site=operator_site)
class InterventionAdmin(OperatorModelAdmin):
    list_display = ("action", "status_label", "target", "episode", "created_at", "reverted_at", "reverted_by")
    list_filter = ("status", "action", WithinFilter)
    list_select_related = ("episode",)
    search_fields = ("reason", "reverted_by")
    uuid_search_fields = ("id", "target_id", "episode_id")
    fields = (
        "action",
        "status",
        "target",
        "reason",
        "episode",
        "decision",
        "created_at",
        "reverted_at",
        "reverted_by",
        "id",
    )
    readonly_fields = ("target", "id")

    @label("Status", INTERVENTION_COLOURS, ordering="status")
    def status_label(self, row: InterventionRecord) -> str:
        return row.status

    @admin.display(description="Target")
    def target(self, row: InterventionRecord) -> SafeString:
        return link_to(f"content_{row.episode.source_kind}", row.target_id, row.target_id)


@admin.register(Audit, site=operator_site)
class AuditAdmin(OperatorModelAdmin):
    list_display = ("created_at", "population", "sampled", "found")
    list_filter = (WithinFilter,)
    fields = ("created_at", "population", "sampled", "found", "details")
    readonly_fields = ("found", "details")

    @admin.display(description="Mismatches")
    def found(self, row: Audit) -> int:
        return len(row.mismatches)

    @admin.display(description="Details")
    def details(self, row: Audit) -> SafeString:
        return preformatted(json.dumps(row.mismatches, indent=2))


@admin.register(SystemState, site=operator_site)
class SystemStateAdmin(OperatorModelAdmin):
    list_display = ("system", "state", "version", "created_at")
    list_filter = ("system", "state", WithinFilter)
    fields = ("system", "state", "version", "created_at", "shown_figures")
    readonly_fields = ("shown_figures",)

    @admin.display(description="Figures")
    def shown_figures(self, row: SystemState) -> SafeString:
        return preformatted(json.dumps(row.figures, indent=2))
