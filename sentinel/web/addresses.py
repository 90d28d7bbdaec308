"""Where a request comes from."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from django.http import HttpRequest

IPV6_PREFIX = 64  # bits: what one customer of a provider is given, to number as they like


def client_address(request: HttpRequest) -> str | None:
    """Return the address that a request comes from; of IPv6 the first one of its network.

    Behind reverse proxies (SENTINEL_PROXIES) it is the one that the outermost of ours has seen.
    What stands further left in X-Forwarded-For was sent along, and may be invented.

    Returns:
        None where there is none, as behind a socket of this machine.
    """
    proxies: int = settings.SENTINEL_PROXIES
    hops = request.headers.get("X-Forwarded-For", "").split(",") if proxies else []
    if len(hops) >= proxies > 0:
        return normalise_address(hops[-proxies])
    return normalise_address(request.META.get("REMOTE_ADDR", ""))


def normalise_address(text: str) -> str | None:
    """Return an address as `client_address` does; None where it is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), IPV6_PREFIX), strict=False).network_address)
