"""Settings of the egress client."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from django.conf import settings


@dataclass(frozen=True)
class EgressSettings:
    """`allow_cidrs` is the only way to private addresses; inside it any port may be used."""

    allow_cidrs: tuple[IPv4Network | IPv6Network, ...]
    ports: tuple[int, ...] = (80, 443, 8080, 8443)
    max_redirects: int = 3
    max_ratio: int = 100
    ratio_floor_bytes: int = 1_048_576
    user_agent: str = "Cybernetic/0.1"


def egress_settings() -> EgressSettings:
    return EgressSettings(
        allow_cidrs=tuple(settings.EGRESS_ALLOW_CIDRS),
        ports=tuple(getattr(settings, "EGRESS_PORTS", (80, 443, 8080, 8443))),
    )
