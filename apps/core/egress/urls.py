"""One parse of a URL, used both to judge it and to connect: no second parser can see another host."""

import unicodedata
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import idna

from apps.core.egress.addresses import Address, is_allowed_private, is_public, parse_host_address
from apps.core.egress.conf import EgressSettings, egress_settings
from apps.core.egress.errors import (
    UrlForbiddenAddress,
    UrlInvalid,
    UrlPortForbidden,
    UrlSchemeForbidden,
    UrlUserinfoForbidden,
)

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_URL_CHARS = 8192
_PATH_SAFE = "/:@!$&'()*+,;=~-._%"
_QUERY_SAFE = _PATH_SAFE + "?"


@dataclass(frozen=True)
class CheckedUrl:
    """A URL in canonical form. `host` is ASCII; an IP address is spelt the usual way, without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"


def check_url(raw: str) -> CheckedUrl:
    """Parse and judge a URL without any network use.

    A host name passes here and is judged by its addresses when it is connected to. Raises an EgressError subclass.
    """
    conf = egress_settings()
    parts = _split(raw)
    if parts.scheme not in DEFAULT_PORTS:
        named = f"The scheme {parts.scheme} is not fetched" if parts.scheme else "The URL has no scheme"
        raise UrlSchemeForbidden(f"{named}; write http:// or https://.")
    if "@" in parts.netloc:
        raise UrlUserinfoForbidden("The URL contains a user name or password; remove it.")
    host, address = _host(parts)
    try:
        port = parts.port
    except ValueError:
        raise UrlInvalid("The port is not a number between 1 and 65535.") from None
    if port == 0:
        raise UrlInvalid("The port is not a number between 1 and 65535.")
    port = port or DEFAULT_PORTS[parts.scheme]
    if address is not None:
        judge_addresses([address], port, conf)
    elif port not in conf.ports and not conf.allow_cidrs:
        raise UrlPortForbidden(_port_detail(port, conf))
    target = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_QUERY_SAFE)
    return CheckedUrl(parts.scheme, host, port, target)


def join_url(base: CheckedUrl, location: str) -> CheckedUrl:
    """The checked target of a redirect."""
    return check_url(urljoin(str(base), location))


def judge_addresses(addresses: list[Address], port: int, conf: EgressSettings) -> None:
    """Raise unless every address may be connected to on this port."""
    for address in addresses:
        if is_allowed_private(address, conf.allow_cidrs):
            continue
        if not is_public(address):
            raise UrlForbiddenAddress(
                f"{address} is not a public address. An operator can open a private range with EGRESS_ALLOW_CIDRS."
            )
        if port not in conf.ports:
            raise UrlPortForbidden(_port_detail(port, conf))


def _port_detail(port: int, conf: EgressSettings) -> str:
    return f"Port {port} is not fetched from; the ports are {', '.join(map(str, conf.ports))}."


def _split(raw: str) -> SplitResult:
    if len(raw) > MAX_URL_CHARS:
        raise UrlInvalid(f"The URL is longer than {MAX_URL_CHARS} characters.")
    raw = raw.strip(" ")
    if "\\" in raw or any(ord(char) <= 0x20 or ord(char) == 0x7F or 0xD800 <= ord(char) <= 0xDFFF for char in raw):
        raise UrlInvalid("The URL contains a backslash, a space or a control character.")
    try:
        return urlsplit(raw)
    except ValueError:
        raise UrlInvalid("The URL cannot be read.") from None


def _host(parts: SplitResult) -> tuple[str, Address | None]:
    raw = parts.hostname or ""
    host = unicodedata.normalize("NFKC", raw).lower().replace("。", ".")
    if not host or "%" in host or any(char in host for char in "/?#@\\ <>^|\"'`{}"):
        raise UrlInvalid("The URL has no usable host.")
    try:
        address = parse_host_address(host)
    except AddressValueError:
        raise UrlInvalid("The host is neither a name nor an IP address.") from None
    if address is not None:
        return str(address), address
    host = host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: always the loopback
        return host, IPv4Address("127.0.0.1")
    try:
        ascii_host = idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        if not _is_plain_name(host):
            raise UrlInvalid("The host is not a valid name.") from None
        ascii_host = host
    return ascii_host, None


def _is_plain_name(host: str) -> bool:
    """Names that resolvers take though IDNA does not, such as `my_service.internal`."""
    labels = host.split(".")
    return len(host) <= 253 and all(
        0 < len(label) <= 63 and label.isascii() and label.replace("-", "").replace("_", "").isalnum()
        for label in labels
    )
