"""Typed options of the viable system."""

from dataclasses import dataclass
from functools import cache

from django.conf import settings


@dataclass(frozen=True)
class VsmSettings:
    """`state_history` bounds the rows kept per system, `audit_history` the audits kept per tenant."""

    observe_every_s: int
    audit_every_s: int
    audit_sample: int
    state_history: int
    audit_history: int
    evidence_limit: int


@cache
def vsm_settings() -> VsmSettings:
    """Read once from Django's settings."""
    return VsmSettings(
        observe_every_s=getattr(settings, "VSM_OBSERVE_EVERY_S", 15),
        audit_every_s=getattr(settings, "VSM_AUDIT_EVERY_S", 300),
        audit_sample=getattr(settings, "VSM_AUDIT_SAMPLE", 5),
        state_history=getattr(settings, "VSM_STATE_HISTORY", 1000),
        audit_history=getattr(settings, "VSM_AUDIT_HISTORY", 1000),
        evidence_limit=getattr(settings, "VSM_EVIDENCE_LIMIT", 1000),
    )
