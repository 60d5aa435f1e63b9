"""HTTP/1.1 as uvicorn speaks it, with bounds on all that a client may send, hold or wait for."""

import asyncio
import urllib.parse
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from projectnil.api.problems import (
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    PATH_TOO_LONG,
    REFUSED,
    REQUEST_TIMED_OUT,
    TOO_MANY_CONNECTIONS,
    Refused,
)
from projectnil.bootstrap.http_connections import Connections, HttpBounds
from projectnil.bootstrap.http_transport import Transport
from projectnil.bootstrap.http_upgrade import parser_behind_head

# What is parsed at a time: no more than so much of a head is beyond its bound before that is noticed.
_SLICE_BYTES = 16 * 1024
# A head of small headers takes many times its size in memory. Counted after each slice.
_MOST_HEADERS = 256
# A client that sends more requests than this ahead of their answers is answered these, and may send the rest again.
_MOST_PIPELINED = 32
# For a client to read why it was refused, while it is still sending; and to be heard when there are too many.
_LINGER_S = 2.0
# A body up to this size is copied behind its head: one piece is quicker to send than two.
_JOINED_BYTES = 16 * 1024
_HEALTH = "/health"


def http_config(
    app: Callable[..., Any], bounds: HttpBounds, connections: Connections, stop_grace_s: int | None = None
) -> uvicorn.Config:
    """How uvicorn serves an ASGI application here. stop_grace_s: for answers on their way when it stops."""
    return uvicorn.Config(
        app,
        http=cast(Any, partial(HttpProtocol, bounds, connections)),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=stop_grace_s,
    )


class HttpProtocol(HttpToolsProtocol):
    """One connection. Whatever is wrong with a request is answered by the application, in order, as any request."""

    pipeline: Any
    transport: Any

    def __init__(self, bounds: HttpBounds, connections: Connections, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._bounds = bounds
        self._watched = connections
        self._begun = False  # a byte of the next request is here
        self._in_head = True
        self._has_message = False  # and it is more than line ends
        self._since = 0.0  # when the present wait began: for a request's first byte, or for its last
        self._fed_bytes = 0  # of this head, or since the body last grew
        self._rest = b""  # what came after a request that is not answered yet
        self._deaf = False  # nothing more is taken from this connection
        self._ended = False  # the client sends nothing more
        self._unread_since: float | None = None  # when the client was first seen to leave an answer unread
        self._is_extra = False  # there were too many already

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(cast(asyncio.Transport, Transport(transport)))
        self._since = self.loop.time()
        self._is_extra = self._watched.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watched.discard(self)
        self._deaf = True
        self._rest = b""
        super().connection_lost(exc)
        # Each knows the other: megabytes of a body would wait for the garbage collector, which seldom comes.
        self.cycle = None  # type: ignore[assignment] # as it begins

    def eof_received(self) -> bool | None:  # type: ignore[override] # True keeps our side open
        """The client has said all it wanted; what it asked is answered all the same."""
        self._ended = True
        self.transport.lingers = False
        if self._has_message and not self._deaf:
            self._refuse(Refused(MALFORMED_REQUEST, "the request ended before it was complete"))
        return self._is_answering

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Bytes

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._begun:
            self._begun = True
            self._since = self.loop.time()
        try:
            if len(data) <= _SLICE_BYTES:
                self._feed(data)
            else:
                self._feed_slices(data)
        except httptools.HttpParserUpgrade:
            # CONNECT: what follows is not for this server.
            self._hear_no_more()
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _PipelineFull):
                self._hear_no_more()
            else:
                self._refuse(_refusal(error))
        except Refused as refused:
            self._refuse(refused)

    def _feed_slices(self, data: bytes) -> None:
        view = memoryview(data)
        for at in range(0, len(data), _SLICE_BYTES):
            if self._is_answering and not self._begun:
                self._keep_for_later(data[at:])
                return
            self._feed(view[at : at + _SLICE_BYTES])

    def _keep_for_later(self, rest: bytes) -> None:
        """Parse nothing ahead of its turn: a parsed request takes many times its size."""
        if len(rest) > self._bounds.head_bytes:
            self._hear_no_more()
            return
        self._rest = rest
        self.flow.pause_reading()

    def _feed(self, data: bytes | memoryview) -> None:
        self._fed_bytes += len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                if self.scope["method"] == "CONNECT":
                    raise
                data = data[upgrade.args[0] :]
                self._ignore_upgrade()
        if self._has_message:  # it is not complete yet
            if self._fed_bytes > self._bounds.head_bytes + _SLICE_BYTES:
                raise self._head_too_large()
            self._check_count()

    def _ignore_upgrade(self) -> None:
        """Take back that the message is complete: see http_upgrade."""
        self._begun = self._has_message = True
        self._in_head = False
        self.cycle.more_body = True
        self.cycle.message_event.clear()
        self.parser = parser_behind_head(self, self.headers)

    def _head_too_large(self) -> Refused:
        what = "the head" if self._in_head else "a chunk's extensions or the trailer"
        return Refused(HEAD_TOO_LARGE, f"{what} may have at most {self._bounds.head_bytes:,} bytes")

    # What the parser finds

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise _PipelineFull
        super().on_message_begin()
        if not self._begun:
            self._begun = True
            self._since = self.loop.time()
        self._has_message = True

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._bounds.path_bytes:
            raise Refused(PATH_TOO_LONG, f"path and query may have at most {self._bounds.path_bytes:,} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # nothing here wants a trailer
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._check_count()
        if self._fed_bytes > self._bounds.head_bytes:
            self._check_head()
        version = self.parser.get_http_version()
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        if version not in ("1.1", "1.0"):
            raise Refused(MALFORMED_REQUEST, f"HTTP/{version} is not spoken here; use HTTP/1.1")
        if version == "1.0" and any(name == b"transfer-encoding" for name, _ in self.headers):
            # RFC 9112, section 6.1: its framing is faulty, and some proxy may read it otherwise.
            raise Refused(MALFORMED_REQUEST, "HTTP/1.0 has no Transfer-Encoding")
        self.expect_100_continue = dict(self.headers).get(b"expect", b"").lower() == b"100-continue"
        self._set_target(scope)
        if self._is_extra and scope["path"] != _HEALTH:
            scope[REFUSED] = _too_many()
        self._in_head = False
        self._begin(version != "1.0" and self.parser.should_keep_alive() and not self._is_extra)

    def _check_count(self) -> None:
        if len(self.headers) > _MOST_HEADERS:
            raise Refused(HEAD_TOO_LARGE, f"there may be at most {_MOST_HEADERS} headers")

    def _check_head(self) -> None:
        """The exact size, which was only estimated so far: requests may have come in one piece."""
        size_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size_bytes > self._bounds.head_bytes:
            raise self._head_too_large()

    def _set_target(self, scope: Any) -> None:
        """RFC 9112, section 3.2: a path, a whole URL (whose authority is then the Host), or `*`."""
        try:
            url = httptools.parse_url(self.url)
            path = (url.path or b"/").decode("ascii")
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            if self.url != b"*" and scope["method"] != "CONNECT":
                raise Refused(MALFORMED_REQUEST, "the request's path is not a path") from None
            url, path = None, self.url.decode("latin-1")
        if url is not None and url.host is not None:
            self._take_host_of(url)
        scope["raw_path"] = path.encode()
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["query_string"] = (url.query if url else b"") or b""

    def _take_host_of(self, url: Any) -> None:
        host = b"[%b]" % url.host if b":" in url.host else url.host
        authority = host if url.port is None else b"%b:%d" % (host, url.port)
        given = [index for index, (name, _) in enumerate(self.headers) if name == b"host"]
        if len(given) == 1:
            self.headers[given[0]] = (b"host", authority)
        elif not given and self.scope["http_version"] == "1.0":
            self.headers.append((b"host", authority))

    def _begin(self, keep_alive: bool) -> None:
        """Have the request answered, once those before it are."""
        before = self.cycle
        self.cycle = _Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._fed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._begun = self._has_message = False
        self._in_head = True
        self._fed_bytes = 0

    # Answers

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._since = self.loop.time()
        if self.transport.is_closing() or self.transport.is_lingering:
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._rest:
            rest, self._rest = self._rest, b""
            self.data_received(rest)
        if not self._rest and not self.pipeline:
            self.flow.resume_reading()
        if self._ended and not self._is_answering:
            self.transport.close()

    def _refuse(self, refused: Refused) -> None:
        """Answer what cannot be read, or not be waited for; then hear no more."""
        answering = self.cycle
        if not self._in_head and answering is not None:
            if answering.response_complete:  # it was answered before its body was here
                self.transport.close()
                return
            cast(_Cycle, answering).refuse(refused)
        else:
            self._refuse_unread(refused)
        self._deaf = True
        self._has_message = False
        self.transport.lingers = not self._ended

    def _refuse_unread(self, refused: Refused) -> None:
        if self.scope is None or not self._has_message:
            HttpToolsProtocol.on_message_begin(self)
        scope: Any = self.scope
        scope.update({"method": "GET", "path": "", "raw_path": b"", "query_string": b"", REFUSED: refused})
        self._begin(keep_alive=False)
        self.cycle.more_body = False

    def _hear_no_more(self) -> None:
        """Close the connection once what was heard is answered."""
        self._deaf = True
        self._begun = self._has_message = False
        if self._is_answering:
            self.cycle.keep_alive = False
            self.transport.lingers = True
        else:
            self.transport.close()

    # Waiting

    def give_way(self) -> None:
        """See `Connection`."""
        if self.transport.is_lingering:
            self.transport.abort()
        elif not self._deaf and not (self._is_answering and self._in_head):
            self._refuse(_too_many())
            self.transport.lingers = False

    def give_up_if_late(self, now: float) -> None:
        """See `Connection`."""
        if self.transport.get_write_buffer_size():
            if self._unread_since is None:
                self._unread_since = now
            elif now - self._unread_since > self._bounds.answer_timeout_s:
                self.transport.abort()
            return
        self._unread_since = None
        waited_s = now - self._since
        if self.transport.is_lingering:
            if waited_s > _LINGER_S:
                self.transport.abort()
        elif self._begun:
            if waited_s > self._patience_s(self._bounds.request_timeout_s) and not self.flow.read_paused:
                self._give_up_request()
        elif not self._is_answering and waited_s > self._patience_s(self._bounds.idle_timeout_s):
            self.transport.close()

    def _patience_s(self, bound_s: float) -> float:
        return min(_LINGER_S, bound_s) if self._is_extra else bound_s

    def _give_up_request(self) -> None:
        if not self._has_message:  # nothing but line ends
            self.transport.close()
            return
        if self._is_extra:
            self._refuse(_too_many())
            return
        bound_s = self._bounds.request_timeout_s
        self._refuse(Refused(REQUEST_TIMED_OUT, f"the request was not complete within {bound_s:g} s"))


class _Cycle(RequestResponseCycle):
    """A request and its answer, which has one body and says its length."""

    _refused: Refused | None = None
    _is_read = False

    def refuse(self, refused: Refused) -> None:
        """The rest of the body will not come: its reader is told why."""
        self._refused = refused
        self.keep_alive = False
        self.message_event.set()

    async def receive(self) -> Any:
        if self._refused is None and not self.more_body and not self._is_read and not self.disconnected:
            self._is_read = True  # all of it came at once, as nearly always
            return {"type": "http.request", "body": bytes(self.body), "more_body": False}
        message = await super().receive() if self._refused is None else None
        if self._refused is not None and not self.disconnected and not self.response_complete:
            raise self._refused
        return message

    async def send(self, message: Any) -> None:
        """The head waits for the body, which is the only one. Returns once the client has taken nearly all of it."""
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._head = message
            self.response_started = True
            return
        if self.flow.write_paused:
            await self._drained()
        self._write(self._head, message["body"])
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        if self.flow.write_paused:
            await self._drained()

    def _write(self, head: Any, body: bytes) -> None:
        headers = [*self.default_headers, *head["headers"]]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"%b: %b\r\n" % header for header in headers]
        text = b"%b%b\r\n" % (STATUS_LINE[head["status"]], b"".join(lines))
        if not text.count(b"\n") == text.count(b"\r") == len(lines) + 2:
            raise RuntimeError("a header holds a line end")
        if self.scope["method"] == "HEAD":
            body = b""
        if len(body) <= _JOINED_BYTES:
            self.transport.write(text + body)
        else:
            self.transport.writelines((text, body))

    async def _drained(self) -> None:
        if not self.disconnected:
            await self.flow.drain()


class _PipelineFull(Exception):
    """More requests came ahead of their answers than are remembered."""


def _too_many() -> Refused:
    detail = "there are more connections than the platform serves at once (PROJECTNIL_HTTP_CONNECTIONS); try again"
    return Refused(TOO_MANY_CONNECTIONS, detail, {"Retry-After": "1"})


def _refusal(error: httptools.HttpParserError) -> Refused:
    cause = error.__context__
    if isinstance(cause, Refused):
        return cause
    return Refused(MALFORMED_REQUEST, f"the request could not be read as HTTP/1.1: {error}")
