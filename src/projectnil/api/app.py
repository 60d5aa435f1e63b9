"""The ASGI application."""

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from projectnil.api.context import CONTEXT, ApiContext
from projectnil.api.docs_page import docs_page
from projectnil.api.openapi import openapi_document
from projectnil.api.problems import error_response
from projectnil.api.request_id import HEADER, request_id_of
from projectnil.api.routes import OPERATIONS, Handler, Routes, check_query


class Application:
    """The API over the given parts. Starting and stopping those is the caller's.

    It takes a request's way itself, since a framework's layers would be half of what an execution costs here.
    """

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._routes = Routes(OPERATIONS, _document_handlers())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        identifier = scope["request_id"] = request_id_of(scope)
        scope[CONTEXT] = self._context
        request = Request(scope, receive)
        try:
            route = self._routes.find(scope)
            if route.operation is not None and scope["query_string"]:
                check_query(scope, route.operation)
            response = await route.handler(request)
        except Exception as error:
            response = error_response(request, error)
        response.raw_headers.append((HEADER, identifier.encode()))
        await response(scope, receive, send)


def _document_handlers() -> dict[str, Handler]:
    document = openapi_document(OPERATIONS)
    as_json = msgspec.json.encode(document)
    as_page = docs_page(document)

    async def openapi(_: Request) -> Response:
        return Response(as_json, media_type="application/json")

    async def docs(_: Request) -> Response:
        # The page needs nothing but itself, and may load nothing else.
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return HTMLResponse(as_page, headers=policy)

    async def root(_: Request) -> Response:
        return RedirectResponse("/docs", status_code=307)

    return {"/openapi.json": openapi, "/docs": docs, "/": root}
