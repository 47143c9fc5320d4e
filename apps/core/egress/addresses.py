"""Which IP addresses are public. An explicit list: `ipaddress.is_global` of Python 3.11 calls NAT64, 6to4 of
127.0.0.1, fec0::/10, 224.0.0.1, 192.0.0.192 and 168.63.129.16 global.

Source: IANA IPv4 and IPv6 special-purpose address registries.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED_V4: tuple[IPv4Network, ...] = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, also Alibaba's metadata 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host channel
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocol assignments, Oracle's metadata 192.0.0.192
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
GLOBAL_V6 = IPv6Network("2000::/3")  # everything else (mapped, NAT64, ULA, link- and site-local, multicast) is refused
DENIED_V6: tuple[IPv6Network, ...] = tuple(
    IPv6Network(net)
    for net in (
        "2001::/23",  # IETF protocol assignments with Teredo and ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation (RFC 9637)
    )
)

_NUMBER = re.compile(r"^(?:0x[0-9a-f]*|[0-9]+)$")


def is_allowed_private(address: Address, allow: Iterable[Network]) -> bool:
    """Whether an operator opened this address by configuration."""
    return any(address.version == net.version and address in net for net in allow)


def is_public(address: Address) -> bool:
    """Whether the address is on the public Internet by itself, with no tunnel or translation inside it."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in DENIED_V4)
    return address.scope_id is None and address in GLOBAL_V6 and not any(address in net for net in DENIED_V6)


def parse_host_address(host: str) -> Address | None:
    """The address that a URL host spells, in any form a resolver would take; None for a name.

    `host` is lower case and NFKC-folded. IPv4 follows the WHATWG URL standard: one to four parts, decimal, octal
    (leading 0) or hexadecimal (0x), the last part filling the rest. Raises AddressValueError for a numeric host that
    is no address.
    """
    if ":" in host:
        return IPv6Address(host)
    parts = host.removesuffix(".").split(".")
    if not _NUMBER.match(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.match(part) for part in parts):
        raise AddressValueError(f"{host!r} is not an IPv4 address")
    numbers = [_ipv4_number(part) for part in parts]
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise AddressValueError(f"{host!r} is not an IPv4 address")
    value = numbers[-1]
    for index, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - index))
    return IPv4Address(value)


def _ipv4_number(part: str) -> int:
    if len(part) > 64:
        raise AddressValueError("an IPv4 part is too long")
    try:
        if part.startswith("0x"):
            return int(part[2:] or "0", 16)
        return int(part, 8) if len(part) > 1 and part.startswith("0") else int(part)
    except ValueError:
        raise AddressValueError(f"{part!r} is not a part of an IPv4 address") from None
