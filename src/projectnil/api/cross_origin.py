"""A page in a browser is not the user: by which names the platform may be asked, and by pages of which origins.

Any web site can make a visitor's browser send requests to the visitor's own machine. Such a request carries `Origin`,
or `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), or a `Host` that the site's owner pointed at this machine.
"""

from collections.abc import Collection, Mapping

from starlette.responses import Response
from starlette.types import Scope

from projectnil.api.guides import GUIDES
from projectnil.api.problems import MALFORMED_REQUEST, ORIGIN_NOT_ALLOWED, UNKNOWN_HOST, Refused
from projectnil.domain.web_origins import is_ip_address, parse_authority, parse_origin

Headers = Mapping[bytes, bytes]

# What a page may be led to from elsewhere: they have no effect, and show nothing of what is stored.
_PUBLIC_PAGES = frozenset(("/", "/docs", *(f"/docs/{name}" for name in GUIDES)))
_ONCE = (b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-encoding", b"content-length")
_REQUEST_HEADERS = "Authorization, Content-Encoding, Content-Type, If-None-Match, X-Request-Id"
_RESPONSE_HEADERS = "Allow, ETag, Link, Location, Retry-After, X-Request-Id"
_PREFLIGHT_MAX_AGE_S = 600
_REMEMBERED_HOSTS = 1000


class CrossOriginPolicy:
    """hosts: the names, beside `localhost` and any IP address. origins: whose pages may use the platform."""

    def __init__(self, hosts: Collection[str], origins: Collection[str]) -> None:
        named = (parse_authority(host) for host in hosts)
        self._names = {"localhost", *(authority[0] for authority in named if authority)}
        self._origins = {parsed for origin in origins if (parsed := parse_origin(origin))}
        # Values of Host that were looked at and found good: a set is quicker than to look again.
        self._good_hosts: set[bytes] = set()

    def check(self, scope: Scope, headers: Headers) -> str | None:
        """Raises Refused for a request that the platform must not serve; returns the origin that gets CORS headers."""
        if len(headers) != len(scope["headers"]):
            _check_once(scope)
        host = headers.get(b"host")
        if host not in self._good_hosts:
            self._check_host(scope, host)
        if b"origin" in headers:
            return self._check_origin(scope, headers)
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            _check_navigation(scope, headers)
        return None

    def _check_host(self, scope: Scope, host: bytes | None) -> None:
        if host is None:
            if scope["http_version"] == "1.0":
                return
            raise Refused(MALFORMED_REQUEST, "the Host header is missing, which HTTP/1.1 asks for")
        authority = parse_authority(host.decode("latin-1"))
        if authority is None:
            raise Refused(MALFORMED_REQUEST, f"the Host header is not a host: {_shown(host)}")
        if authority[0] not in self._names and not is_ip_address(authority[0]):
            raise Refused(
                UNKNOWN_HOST,
                f"this platform is not known by the name {authority[0]}: it answers to localhost, to IP addresses and "
                "to the names in PROJECTNIL_ALLOWED_HOSTS",
            )
        if len(self._good_hosts) < _REMEMBERED_HOSTS:
            self._good_hosts.add(host)

    def _check_origin(self, scope: Scope, headers: Headers) -> str | None:
        given = headers[b"origin"].decode("latin-1")
        origin = parse_origin(given)
        if origin is not None and origin in self._origins:
            return given
        own = parse_origin(f"{scope['scheme']}://{headers.get(b'host', b'').decode('latin-1')}")
        if origin is None or origin != own:
            raise _not_allowed(f"pages of {_shown(headers[b'origin'])}")
        return None

    def add_headers(self, response: Response, origin: str | None) -> None:
        """Lets the pages of an allowed origin read the response."""
        if self._origins:
            response.headers.add_vary_header("Origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS


def is_preflight(scope: Scope, headers: Headers) -> bool:
    """Does a page ask whether it may send a request (https://fetch.spec.whatwg.org/#cors-preflight-request)?"""
    return scope["method"] == "OPTIONS" and b"access-control-request-method" in headers


def preflight_response(headers: Headers, methods: Collection[str]) -> Response:
    """The answer to a page of an allowed origin that asks whether it may send a request."""
    response = Response(status_code=204)
    response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
    response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
    response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_MAX_AGE_S)
    if b"access-control-request-private-network" in headers:
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    return response


def _check_once(scope: Scope) -> None:
    names = [name for name, _ in scope["headers"]]
    for name in _ONCE:
        if names.count(name) > 1:
            raise Refused(MALFORMED_REQUEST, f"the {name.decode().title()} header is given more than once")


def _check_navigation(scope: Scope, headers: Headers) -> None:
    is_top_level = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
    if not (is_top_level and scope["method"] in ("GET", "HEAD") and scope["path"] in _PUBLIC_PAGES):
        raise _not_allowed(f"pages of another site (Sec-Fetch-Site: {_shown(headers[b'sec-fetch-site'])})")


def _not_allowed(pages: str) -> Refused:
    detail = f"{pages} may not use this platform; PROJECTNIL_ALLOWED_ORIGINS lists the origins that may"
    return Refused(ORIGIN_NOT_ALLOWED, detail)


def _shown(value: bytes) -> str:
    return value[:100].decode(errors="replace")
