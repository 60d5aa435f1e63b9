"""HTTP to one platform, with the standard library alone: to import a larger client takes longer than a command."""

import http.client
import os
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from projectnil.cli.failures import CommandFailed, UsageError

if TYPE_CHECKING:
    import ssl  # takes long to import, and most platforms are reached without

# An execution may take its whole limit and wait for its turn before.
TIMEOUT_S = 60.0
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Answer(NamedTuple):
    """link: the value of the Link header, or an empty text."""

    status: int
    body: bytes
    link: str


class Connection:
    """One kept connection. Every failure becomes a CommandFailed that says what to do. url: without any password.

    Raises UsageError for a URL that is none.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        base = _parsed(url)
        host = f"[{base.hostname}]" if ":" in (base.hostname or "") else base.hostname
        self.url = f"{base.scheme}://{host}{f':{base.port}' if base.port else ''}{base.path.rstrip('/')}"
        self._prefix = base.path.rstrip("/")
        self._headers = {"Accept": "application/json", "User-Agent": "pnil", **_authorization(base)}
        self._http = _connection_to(base, timeout_s)
        if (proxy := _proxy_of(base)) is not None:
            self._go_through(proxy, base, timeout_s)
        self._timeout_s = timeout_s

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """path: with the query. body: JSON."""
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        try:
            return self._exchange(method, self._prefix + path, body, headers)
        except TimeoutError:
            raise CommandFailed(f"{self.url} did not answer within {self._timeout_s:g} s") from None
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise CommandFailed(f"{self.url}: {error or type(error).__name__}") from None

    def _exchange(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        is_kept = self._http.sock is not None
        if not is_kept:
            self._connect()
        try:
            # A server may answer before it has read everything, and close; its answer comes next.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._http.request(method, target, body, headers)
            response = self._http.getresponse()
            return Answer(response.status, response.read(), response.headers.get("Link", ""))
        except _GONE:
            self._http.close()
            if is_kept and method == "GET":  # it was closed while nothing was asked
                return self._exchange(method, target, body, headers)
            raise

    def _connect(self) -> None:
        try:
            self._http.connect()
        except OSError as error:
            if type(error).__module__ == "ssl":
                raise
            raise CommandFailed(
                f"nothing answers at {self.url}; start it with 'pnil serve', or say where it is with --url"
            ) from None

    def _go_through(self, proxy: str, base: SplitResult, timeout_s: float) -> None:
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if via.scheme != "http" or not via.hostname:
            raise CommandFailed(f"the proxy that the environment names is not supported: {via.scheme}://{via.hostname}")
        port = base.port or (443 if base.scheme == "https" else 80)
        credentials = {f"Proxy-{name}": value for name, value in _authorization(via).items()}
        self._http = _connection_to(base, timeout_s, via=via)
        if base.scheme == "https":
            self._http.set_tunnel(str(base.hostname), port, credentials)
        else:
            self._headers |= credentials | {"Host": f"{base.hostname}:{port}"}
            self._prefix = self.url


def _parsed(url: str) -> SplitResult:
    try:
        base = urlsplit(url)
        if "@" in url and base.username is None:
            raise ValueError("its name and password end before the @")
        if base.scheme not in ("http", "https") or not base.hostname:
            raise ValueError("it has to look like http://host:port")
        _ = base.port  # raises when it is no number
    except ValueError as error:
        if "@" in url:  # a password is for the one who asks for it, not for a screen
            raise UsageError(
                "the URL cannot be read; in a password, write / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A"
            ) from None
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    return base


def _authorization(base: SplitResult) -> dict[str, str]:
    if base.username is None:
        return {}
    pair = f"{unquote(base.username)}:{unquote(base.password or '')}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}


def _connection_to(base: SplitResult, timeout_s: float, via: SplitResult | None = None) -> http.client.HTTPConnection:
    host, port = (via.hostname, via.port) if via is not None else (base.hostname, base.port)
    make: partial[http.client.HTTPConnection]
    if base.scheme == "https":
        make = partial(http.client.HTTPSConnection, context=_trust())
    else:
        make = partial(http.client.HTTPConnection)
    return make(str(host), port, timeout=timeout_s)


def _trust() -> "ssl.SSLContext":
    """Whose certificates are believed: those of SSL_CERT_FILE, or of the public authorities and this machine's."""
    import ssl  # noqa: PLC0415

    path = os.environ.get("SSL_CERT_FILE")
    if path:
        try:
            return ssl.create_default_context(cafile=path)
        except OSError as error:
            raise CommandFailed(f"SSL_CERT_FILE: {path}: {error}") from None
    import certifi  # noqa: PLC0415

    trust = ssl.create_default_context()
    trust.load_verify_locations(certifi.where())
    return trust


def _proxy_of(base: SplitResult) -> str | None:
    """The proxy that the environment names. None is on the way to one's own machine."""
    host = str(base.hostname)
    is_own_machine = host in ("localhost", "::1") or host.startswith("127.")
    if is_own_machine or not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    proxies = getproxies()
    if proxy_bypass(f"{host}:{base.port}" if base.port else host):
        return None
    return proxies.get(base.scheme) or proxies.get("all")
