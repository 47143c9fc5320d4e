"""Typed readers of environment variables. Each failure names the variable and the form expected."""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """The variable's text; without a default it must be set."""
    value = os.environ.get(name, "")
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. `make up` sets it; on your own servers export it first.")
    return default


def integer(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    raw = os.environ.get(name, "")
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}.") from None
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ImproperlyConfigured(f"{name} must lie between {minimum} and {maximum}, not {value}.")
    return value


def number(name: str, default: float) -> float:
    raw = os.environ.get(name, "")
    try:
        return float(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {raw!r}.") from None


def flag(name: str, *, default: bool) -> bool:
    raw = os.environ.get(name, "").lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}.")


def words(name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    raw = os.environ.get(name, "")
    return tuple(part.strip() for part in raw.split(",") if part.strip()) if raw else default


def path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name) or default).absolute()


def networks(name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Comma-separated CIDR blocks; empty by default."""
    try:
        return tuple(ip_network(part) for part in words(name))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must be CIDR blocks like 10.0.0.0/8, separated by commas: {error}"
        ) from None


def database(name: str, default: str | None = None) -> dict[str, Any]:
    """Django's connection settings from postgresql://USER:PASSWORD@HOST:PORT/NAME, or ?host=/socket/folder."""
    url = urlsplit(text(name, default))
    if url.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured(
            f"{name} must look like postgresql://USER:PASSWORD@HOST:PORT/NAME, not {url.scheme}://..."
        )
    query = dict(parse_qsl(url.query))
    return {
        "NAME": unquote(url.path.lstrip("/")) or "cybernetic",
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": query.pop("host", url.hostname or ""),
        "PORT": str(url.port or query.pop("port", "")),
        "OPTIONS": query,
    }
