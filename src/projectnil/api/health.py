"""/health"""

from starlette.requests import Request
from starlette.responses import Response

from projectnil.api.context import context_of
from projectnil.api.rendering import json_response
from projectnil.flows import health
from projectnil.flows.health import PartStatus


async def show(request: Request) -> Response:
    context = context_of(request)
    report = await health.check(context.pool, context.sandbox, context.troubles)
    return json_response(report, status=503 if report.status is PartStatus.DOWN else 200)
