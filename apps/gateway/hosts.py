"""Host headers."""

import re

from apps.core.api.errors import RequestMalformed

_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_-][A-Za-z0-9._-]{0,252})(?::(?P<port>[0-9]{1,5}))?")


def require_host(raw: str) -> None:
    """Refuse what is not `name[:port]` or `[IPv6][:port]`. Whose host it is, the tenants decide."""
    match = _HOST.fullmatch(raw)
    if match is None or int(match["port"] or 0) > 65535:
        raise RequestMalformed("The Host header is missing or malformed.")
