"""/functions/{id}/execute and /executions"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projectnil.api.bodies import read_body
from projectnil.api.context import context_of, holding_of
from projectnil.api.memory import FREE_BYTES
from projectnil.api.paging import Page, page_response, parse_page
from projectnil.api.parsing import (
    decode_body,
    input_object,
    path_id,
    path_name,
    query_choice,
    query_id,
    query_short_id,
    query_text,
    query_time,
    refuse_body_without_input,
)
from projectnil.api.rendering import json_response
from projectnil.api.schemas import ExecuteBody, execution_details, execution_item, execution_result
from projectnil.domain.errors import InvalidInput, Overloaded
from projectnil.domain.executions import ExecutionFilter, ExecutionStatus
from projectnil.domain.ids import ExecutionId, FunctionId
from projectnil.flows import history
from projectnil.flows.execution import Run
from projectnil.postgres.history import Found

_decoder = msgspec.json.Decoder(ExecuteBody)
_AROUND_INPUT_BYTES = 64 * 1024


async def execute(request: Request) -> Response:
    function_id = FunctionId(path_id(request, "function"))
    given = await _input(request)
    return _answer(request, await context_of(request).executor.execute(function_id, given))


async def execute_named(request: Request) -> Response:
    name = path_name(request)
    given = await _input(request)
    return _answer(request, await context_of(request).executor.execute_named(name, given))


def _answer(request: Request, run: Run) -> Response:
    response = json_response(execution_result(run))
    if len(response.body) > FREE_BYTES:
        _hold(request, response, run.id)
    return response


def _hold(request: Request, response: Response, execution_id: ExecutionId) -> None:
    try:
        holding_of(request).resize(len(response.body))
    except Overloaded as error:
        raise Overloaded(
            f"the execution ended and is recorded, but its answer has to wait: {error}, with GET /executions/{{id}}",
            execution_id=execution_id,
        ) from None


async def _input(request: Request) -> bytes:
    most_bytes = context_of(request).settings.input_bytes
    body = await read_body(request, most_bytes + _AROUND_INPUT_BYTES)
    if not body.strip():
        return await input_object(ExecuteBody().input, most_bytes)
    decoded = decode_body(body, _decoder)
    refuse_body_without_input(body, decoded.input)
    return await input_object(decoded.input, most_bytes)


async def index(request: Request) -> Response:
    page = parse_page(request)
    wanted = _wanted(request, query_id(request, "function"), query_short_id(request))
    found = await history.list_executions(context_of(request).page_pool, wanted, before=page.before, most=page.fetch)
    return _found_response(request, page, found)


async def index_of_function(request: Request) -> Response:
    function_id = FunctionId(path_id(request, "function"))
    page, wanted = parse_page(request), _wanted(request, function_id)
    found = await history.list_executions_of(
        context_of(request).page_pool, function_id, wanted, before=page.before, most=page.fetch
    )
    return _found_response(request, page, found)


def _wanted(request: Request, function_id: str | None, short_id: str | None = None) -> ExecutionFilter:
    return ExecutionFilter(
        function_id=FunctionId(function_id) if function_id is not None else None,
        status=query_choice(request, "status", ExecutionStatus),
        since=query_time(request, "since"),
        until=query_time(request, "until"),
        error=_error_part(request),
        short_id=short_id,
    )


def _error_part(request: Request) -> str | None:
    text = query_text(request, "error")
    if text == "":
        raise InvalidInput("must be a part of an error message, and it is empty", "error")
    return text


def _found_response(request: Request, page: Page, found: Found) -> Response:
    return page_response(request, page, found.executions, execution_item, looked_to=found.looked_to)


async def show(request: Request) -> Response:
    execution_id = ExecutionId(path_id(request, "execution"))
    return json_response(execution_details(await history.get_execution(context_of(request).pool, execution_id)))


async def delete(request: Request) -> Response:
    execution_id = ExecutionId(path_id(request, "execution"))
    await history.delete_execution(context_of(request).pool, execution_id)
    return Response(status_code=204)
