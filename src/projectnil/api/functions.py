"""/functions"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projectnil.api.bodies import read_body
from projectnil.api.context import ApiContext, context_of
from projectnil.api.paging import page_response, parse_page
from projectnil.api.parsing import decode_body, path_id, path_name, query_choice, query_short_id, query_text
from projectnil.api.rendering import json_response
from projectnil.api.schemas import (
    FunctionBody,
    NamedFunctionBody,
    function_created,
    function_details,
    function_item,
)
from projectnil.domain.errors import InvalidInput
from projectnil.domain.functions import FunctionFilter, FunctionStatus, ModuleSha256, NewFunction, check_new_function
from projectnil.domain.ids import FunctionId
from projectnil.flows import catalog, registration

_decoder = msgspec.json.Decoder(FunctionBody)
_named_decoder = msgspec.json.Decoder(NamedFunctionBody)

# One byte of source is at most six of JSON text (`\u0041`); the other fields are small.
_ESCAPED_BYTES = 6
_OTHER_FIELDS_BYTES = 128 * 1024


async def create(request: Request) -> Response:
    context = context_of(request)
    function = await registration.register(context.pool, await _new_function(request, context))
    headers = {"Location": f"/functions/{function.id}"}
    return json_response(function_created(function), status=201, headers=headers)


async def show(request: Request) -> Response:
    function = await catalog.get_function(context_of(request).pool, _function_id(request))
    return json_response(function_details(function))


async def update(request: Request) -> Response:
    context = context_of(request)
    function_id = _function_id(request)
    new = await _new_function(request, context)
    return json_response(function_details(await registration.update(context.pool, function_id, new)))


async def delete(request: Request) -> Response:
    await registration.delete(context_of(request).pool, _function_id(request))
    return Response(status_code=204)


async def show_named(request: Request) -> Response:
    function = await catalog.get_function_named(context_of(request).pool, path_name(request))
    return json_response(function_details(function))


async def put_named(request: Request) -> Response:
    context = context_of(request)
    new = await _new_named_function(request, context)
    function, is_new = await registration.put(context.pool, new)
    headers = {"Location": f"/functions/{function.id}"}
    return json_response(function_details(function), status=201 if is_new else 200, headers=headers)


async def delete_named(request: Request) -> Response:
    await registration.delete_named(context_of(request).pool, path_name(request))
    return Response(status_code=204)


async def index(request: Request) -> Response:
    page = parse_page(request)
    wanted = FunctionFilter(
        name=query_text(request, "name"),
        status=query_choice(request, "status", FunctionStatus),
        short_id=query_short_id(request),
    )
    pool = context_of(request).pool
    summaries = await catalog.list_functions(pool, wanted, before=page.before, most=page.fetch)
    return page_response(request, page, summaries, function_item)


async def wasm(request: Request) -> Response:
    pool = context_of(request).pool
    function_id = _function_id(request)
    known = request.headers.get("if-none-match", "")
    tag = _tag(await catalog.get_module_name(pool, function_id)) if known else ""
    if tag and _matches(known, tag):
        return Response(status_code=304, headers=_module_headers(tag))
    module = await catalog.get_module(pool, function_id)
    return Response(module.wasm, headers=_module_headers(_tag(module.sha256)), media_type="application/wasm")


def _tag(sha256: ModuleSha256) -> str:
    return f'"{sha256}"'


def _module_headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "no-cache"}


def _matches(if_none_match: str, etag: str) -> bool:
    # RFC 9110, section 13.1.2: a list of tags, compared weakly, or `*`.
    candidates = [candidate.strip().removeprefix("W/") for candidate in if_none_match.split(",")]
    return etag in candidates or "*" in candidates


def _function_id(request: Request) -> FunctionId:
    return FunctionId(path_id(request, "function"))


async def _new_function(request: Request, context: ApiContext) -> NewFunction:
    decoded = decode_body(await _read_body(request, context), _decoder)
    return _checked(decoded.name, decoded, context)


async def _new_named_function(request: Request, context: ApiContext) -> NewFunction:
    name = path_name(request)
    decoded = decode_body(await _read_body(request, context), _named_decoder)
    if decoded.name is not None and decoded.name != name:
        raise InvalidInput(f"must be the path's, {name[:300]!r}, or be left out; it is {decoded.name[:300]!r}", "name")
    return _checked(name, decoded, context)


async def _read_body(request: Request, context: ApiContext) -> bytes | bytearray:
    return await read_body(request, context.limits.source_bytes * _ESCAPED_BYTES + _OTHER_FIELDS_BYTES)


def _checked(name: str, body: FunctionBody | NamedFunctionBody, context: ApiContext) -> NewFunction:
    return check_new_function(
        name=name,
        description=body.description,
        language=body.language,
        source=body.source,
        limits=context.limits,
    )
