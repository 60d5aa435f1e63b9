"""The ASGI application."""

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from projectnil.api.context import ApiContext
from projectnil.api.docs_page import docs_page
from projectnil.api.openapi import openapi_document
from projectnil.api.problems import HANDLERS
from projectnil.api.request_id import RequestIdMiddleware
from projectnil.api.routes import OPERATIONS, make_routes

Application = Starlette


def make_app(context: ApiContext) -> Application:
    """The API over the given parts. Starting and stopping those is the caller's."""
    app = Starlette(
        routes=[*make_routes(OPERATIONS), *_document_routes()],
        middleware=[Middleware(RequestIdMiddleware)],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    app.state.context = context
    return app


def _document_routes() -> list[Route]:
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

    return [Route("/openapi.json", openapi), Route("/docs", docs), Route("/", root)]
