"""Hosts and origins as HTTP writes them (RFC 9110, section 7.2; RFC 6454), in one spelling that can be compared."""

import ipaddress
import re

# A registered name has more letters in RFC 3986 than any host has; a user's name (`a@b`) is none of them.
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Za-z:.%_-]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[0-9]{0,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@\s]+)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535


def parse_authority(text: str) -> tuple[str, int | None] | None:
    """`host` or `host:port` as (host, port): in lower case, without a trailing dot, IPv6 in brackets and in its
    shortest form; port None where there is none. None for anything else."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host = _normalised(match["host"])
    port = int(match["port"]) if match["port"] else None
    if not host or (port is not None and port > _MAX_PORT):
        return None
    return host, port


def parse_origin(text: str) -> str | None:
    """An origin as `scheme://host:port`, the port left out where it is the scheme's own; None for anything else.

    Also `null`, the origin of pages that have none, is None.
    """
    match = _ORIGIN.fullmatch(text)
    authority = parse_authority(match["authority"]) if match else None
    if match is None or authority is None:
        return None
    scheme = match["scheme"].lower()
    host, port = authority
    return f"{scheme}://{host}" if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def is_ip_address(host: str) -> bool:
    """Is a host of `parse_authority` an address and not a name? Short forms such as `127.1` are names here."""
    return host.startswith("[") or _is_ipv4(host)


def _normalised(host: str) -> str:
    if not host.startswith("["):
        return host.lower().removesuffix(".")
    # A zone (`fe80::1%eth0`) says by which interface, not who.
    try:
        return f"[{ipaddress.IPv6Address(host[1:-1].partition('%')[0])}]"
    except ValueError:
        return ""


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
