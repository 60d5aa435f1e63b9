"""/functions/{id}/execute and /executions"""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projectnil.api.bodies import read_body
from projectnil.api.context import context_of
from projectnil.api.paging import link_after, page_response, parse_page
from projectnil.api.parsing import decode_body, input_object, path_id, query_choice, query_short_id
from projectnil.api.rendering import json_response
from projectnil.api.schemas import ExecuteBody, execution_details, execution_item, execution_result
from projectnil.domain.errors import InvalidInput
from projectnil.domain.executions import ExecutionStatus, ExecutionSummary
from projectnil.domain.ids import ExecutionId, FunctionId
from projectnil.flows import catalog

_decoder = msgspec.json.Decoder(ExecuteBody)
_AROUND_INPUT_BYTES = 64 * 1024

ListExecutions = Callable[..., Awaitable[list[ExecutionSummary]]]


async def execute(request: Request) -> Response:
    context = context_of(request)
    function_id = FunctionId(path_id(request, "function"))
    most_bytes = context.settings.input_bytes
    body = await read_body(request, most_bytes + _AROUND_INPUT_BYTES)
    decoded = decode_body(body, _decoder) if body.strip() else ExecuteBody()
    run = await context.executor.execute(function_id, await input_object(decoded.input, most_bytes))
    return json_response(execution_result(run))


async def index(request: Request) -> Response:
    short_id = query_short_id(request)
    if short_id is not None:
        return await _with_short_id(request, short_id)
    return await _page(request, catalog.list_executions)


async def _with_short_id(request: Request, short_id: str) -> Response:
    if "status" in request.query_params:
        raise InvalidInput("cannot be combined with status", "shortId")
    page = parse_page(request)
    before = ExecutionId(page.before) if page.before else None
    found, last = await catalog.find_executions(context_of(request).pool, short_id, before=before)
    headers = link_after(request, page, last) if last is not None else {}
    return json_response([execution_item(each) for each in found[: page.limit]], headers=headers)


async def index_of_function(request: Request) -> Response:
    function_id = FunctionId(path_id(request, "function"))
    return await _page(request, partial(catalog.list_executions_of, function_id=function_id))


async def _page(request: Request, list_executions: ListExecutions) -> Response:
    page = parse_page(request)
    summaries = await list_executions(
        context_of(request).pool,
        before=ExecutionId(page.before) if page.before else None,
        status=query_choice(request, "status", ExecutionStatus),
        most=page.fetch,
    )
    return page_response(request, page, summaries, execution_item)


async def show(request: Request) -> Response:
    execution_id = ExecutionId(path_id(request, "execution"))
    return json_response(execution_details(await catalog.get_execution(context_of(request).pool, execution_id)))
