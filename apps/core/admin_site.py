"""The operator console: one site, one tenant at a time (the host's), open to its operators and owners.

Every query of the console runs in the request's tenant, as the application role: row-level security holds here too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter, sites
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.forms import CharField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.sites import UnfoldAdminSite
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.core.errors import DomainError
from apps.core.tenancy import current_tenant

M = TypeVar("M", bound=Model)
F = TypeVar("F", bound=Callable[..., Any])
CODE_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere;font-size:12px;line-height:1.5;max-height:32rem;overflow:auto"


class OperatorSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold has no types
    """Access follows the role of the membership in the request's tenant; there are no permission rows."""

    index_title = "Overview"

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: "type[admin.ModelAdmin[Any]] | None" = None,
        **options: Any,
    ) -> None:
        """Only OperatorModelAdmin comes in: what other packages register by default goes by permission rows, not roles."""
        if admin_class is not None and issubclass(admin_class, OperatorModelAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return bool(user.is_active and getattr(user, "is_staff", False))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The platform's own sign-in page; a signed-in member without the role is told so."""
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated:
            raise PermissionDenied("The operator console needs the role operator or owner.")
        target = request.GET.get("next") or reverse("admin:index")
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{urlencode({'next': target})}")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Out of the platform as a whole; by POST only, as the superclass has it."""
        response: HttpResponse = super().logout(request, extra_context)
        return HttpResponseRedirect(settings.LOGIN_URL) if response.status_code == 200 else response

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "tenant": current_tenant()}


operator_site = OperatorSite(name="admin")
# unfold's own AppConfig puts its site in these two places; admin.site.urls and third parties read them.
admin.site = sites.site = operator_site


def tenant_label(request: HttpRequest) -> str:
    """Whose console this is."""
    return current_tenant().slug


class ReasonForm(BaseDialogForm):  # type: ignore[misc]  # unfold has no types
    """Asks why; the reason is stored with what it caused."""

    reason = CharField(max_length=500, label="Reason", widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))


class OperatorModelAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Rows to look at. Changes are commands of a service, offered as actions and never by editing a row."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = False
    compressed_fields = True
    list_fullwidth = True
    ordering = ("-id",)
    uuid_search_fields: ClassVar[tuple[str, ...]] = ("id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.admin_site.has_permission(request))

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may use the actions: whoever may enter the console."""
        return bool(self.admin_site.has_permission(request))

    def has_own_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What only owners may do."""
        return self.has_operate_permission(request) and getattr(request.user, "current_role", "") == "owner"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A term that is a UUID finds by id; anything else by the model's text fields."""
        try:
            wanted = UUID(search_term.strip())
        except ValueError:
            found, duplicates = super().get_search_results(request, queryset, search_term)
            return found, bool(duplicates)
        by_id = Q()
        for name in self.uuid_search_fields:
            by_id |= Q(**{name: wanted})
        return queryset.filter(by_id), False

    def act_on_each(self, request: HttpRequest, rows: QuerySet[Any], verb: str, step: Any) -> None:
        """Call `step(row)` for each selected row; report how many went well, and each refusal once."""
        done, refused = 0, set[str]()
        for row in rows:
            try:
                step(row)
            except DomainError as error:
                refused.add(error.detail)
            else:
                self.log_change(request, row, f"{verb}.")
                done += 1
        if done:
            messages.success(request, f"{verb}: {done}.")
        for detail in sorted(refused)[:5]:
            messages.error(request, detail)

    def act_on_one(self, request: HttpRequest, object_id: str, verb: str, step: Any) -> HttpResponse:
        """Call `step(row)` for the row of a detail page, then show that page again."""
        row = self.get_object(request, object_id)
        if row is not None:
            self.act_on_each(request, [row], verb, step)  # type: ignore[arg-type]  # iterated only
        url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=(object_id,))
        return HttpResponse(headers={"HX-Redirect": url})


def label(description: str, colours: Mapping[Any, str], *, ordering: str | None = None) -> Callable[[F], F]:
    """A list column shown as a coloured label; `colours` are unfold's names by value."""
    return cast("Callable[[F], F]", display(description=description, ordering=ordering, label=dict(colours)))


def command(
    description: str,
    *,
    question: str,
    explanation: str,
    permission: str = "operate",
    form: type[BaseDialogForm] = BaseDialogForm,
) -> Callable[[F], F]:
    """A button on a detail page. It always asks first, and only the answer, a POST with its CSRF token, acts."""
    dialog = {"title": question, "description": explanation, "form_class": form, "form_submit_text": description}
    return cast("Callable[[F], F]", action(description=description, permissions=[permission], dialog=dialog))


class WithinFilter(SimpleListFilter):
    """Rows of the last hour, day or week; `field_name` is their time."""

    title = "time"
    parameter_name = "within"
    field_name = "created_at"
    _SPANS: ClassVar[dict[str, timedelta]] = {
        "1h": timedelta(hours=1),
        "24h": timedelta(hours=24),
        "7d": timedelta(days=7),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, str]]:
        return (("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[M]) -> QuerySet[M]:
        span = self._SPANS.get(self.value() or "")
        return queryset.filter(**{f"{self.field_name}__gt": timezone.now() - span}) if span else queryset


def link_to(viewname: str, object_id: object, text: object) -> SafeString:
    """A link to one object's page in the console; the bare text where there is no such page."""
    url = url_of(viewname, object_id)
    return format_html('<a href="{}" class="underline">{}</a>', url, text) if url else format_html("{}", text)


def url_of(viewname: str, object_id: object) -> str:
    """The address of one object's page, or "" when the console has no such page or the id does not fit."""
    try:
        return reverse(f"admin:{viewname}_change", args=(object_id,))
    except NoReverseMatch:
        return ""


def link_to_list(viewname: str, text: object, **filters: object) -> SafeString:
    """A link to a list in the console, filtered."""
    url = f"{reverse(f'admin:{viewname}_changelist')}?{urlencode(filters)}"
    return format_html('<a href="{}" class="underline">{}</a>', url, text)


def preformatted(text: str) -> SafeString:
    """Text as it stands: JSON, stored passages."""
    return format_html('<pre style="{}">{}</pre>', CODE_STYLE, text)
