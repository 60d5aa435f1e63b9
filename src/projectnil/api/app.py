"""The ASGI application."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from projectnil.api.bodies import HEADERS
from projectnil.api.context import CONTEXT, ApiContext, holding_of
from projectnil.api.cross_origin import CrossOriginPolicy, is_preflight, preflight_response
from projectnil.api.docs_page import CONTENT_SECURITY_POLICY, docs_page, guide_page
from projectnil.api.guides import GUIDES
from projectnil.api.memory import FREE_BYTES, HOLDING
from projectnil.api.openapi import openapi_document
from projectnil.api.problems import REFUSED, PathNotFound, error_response
from projectnil.api.request_id import HEADER, request_id_of
from projectnil.api.routes import OPERATIONS, Handler, Route, Routes
from projectnil.postgres.errors import DATABASE_ERRORS


class Application:
    """The API over the given parts. Starting and stopping those is the caller's.

    It takes a request's way itself, since a framework's layers would be half of what an execution costs here.
    """

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._troubles = context.troubles
        self._routes = Routes(OPERATIONS, document_handlers())
        self._cross_origin = CrossOriginPolicy(context.settings.known_hosts, context.settings.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope[HEADERS] = dict(scope["headers"])
        identifier = scope["request_id"] = request_id_of(headers)
        scope[CONTEXT] = self._context
        request = Request(scope, receive)
        origin = route = None
        try:
            if REFUSED in scope:
                raise scope[REFUSED]
            origin = self._cross_origin.check(scope, headers)
            if origin is not None and is_preflight(scope, headers):
                response = preflight_response(headers, self._routes.methods(scope))
            else:
                route = self._routes.find(scope)
                response = await route.handler(request)
                if self._troubles.is_any:
                    self._troubles.succeeded(_work(route))
            if HOLDING in scope or len(response.body) > FREE_BYTES:
                holding_of(request).resize(len(response.body))
        except Exception as error:
            if route is not None and isinstance(error, DATABASE_ERRORS) and scope["method"] not in ("GET", "HEAD"):
                self._troubles.failed(_work(route), error)
            response = error_response(request, error)
            # Where it came from may keep it, and it would keep the frames that it passed, with a body of megabytes.
            error.__traceback__ = None
        self._cross_origin.add_headers(response, origin)
        response.raw_headers.append((HEADER, identifier.encode()))
        try:
            await response(scope, receive, send)
        finally:
            if HOLDING in scope:
                scope[HOLDING].release()


def _work(route: Route) -> str:
    return f"{route.operation.method} {route.operation.path}" if route.operation is not None else ""


def document_handlers() -> dict[str, Handler]:
    """The pages beside the operations, by their paths."""
    document = openapi_document(OPERATIONS)
    as_json = msgspec.json.encode(document)
    as_page = docs_page(document)
    policy = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}

    async def openapi(_: Request) -> Response:
        return Response(as_json, media_type="application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(as_page, headers=policy)

    async def guide(request: Request) -> Response:
        try:
            page = await asyncio.to_thread(guide_page, request.url.path.removeprefix("/docs/"))
        except FileNotFoundError:
            raise PathNotFound from None
        return HTMLResponse(page, headers=policy)

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs", status_code=307)

    guides = {f"/docs/{name}": guide for name in GUIDES}
    return {"/openapi.json": openapi, "/docs": docs, "/": root, **guides}
