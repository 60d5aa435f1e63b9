"""`/docs`: the OpenAPI document as one readable page, where each operation can be tried; and the guides.

Nothing comes from anywhere else, and the page may run and reach nothing but what it brings along.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from projectnil.api import trying
from projectnil.api.explanations import WHEN
from projectnil.api.guides import GUIDES, guide_body, guide_list
from projectnil.api.openapi import problem_in_general, problem_kinds

Json = dict[str, Any]

_STYLE = Path(__file__).with_name("docs_style.css").read_text()
_SCRIPT = Path(__file__).with_name("docs_script.js").read_text()


def _hash(text: str) -> str:
    # Content Security Policy Level 3, section 2.3.1: hash-source.
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page(document: Json) -> str:
    """The page for an OpenAPI document of ours, as HTML."""
    schemas = document["components"]["schemas"]
    info = document["info"]
    parts = [
        *_head(f"{info['title']} API"),
        f"<h1>{escape(info['title'])} API</h1>",
        f"<p>Version {escape(info['version'])}. The same as a document for machines: ",
        "<a href='/openapi.json'>/openapi.json</a> (OpenAPI 3.1).</p>",
        *(f"<p>{_inline(text)}</p>" for text in info["description"].split("\n\n")),
        f"<h2 id='guides'>Guides</h2><nav><ul>{guide_list()}</ul></nav>",
        *_contents(document),
        *_operations(document, schemas),
        *_problems(),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "".join(parts)


def guide_page(name: str) -> str:
    """One of `GUIDES`, as HTML."""
    back = "<p><a href='/docs'>API and guides</a></p>"
    return "".join([*_head(f"{GUIDES[name]} - projectnil"), back, guide_body(name), back, "</body></html>"])


def _head(title: str) -> Iterator[str]:
    yield f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
    yield "<meta name='viewport' content='width=device-width, initial-scale=1'>"
    yield f"<style>{_STYLE}</style><body>"


def _each(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _contents(document: Json) -> Iterator[str]:
    yield "<h2>Operations</h2><nav><ul>"
    for path, method, operation in _each(document):
        yield f"<li>{_method(method)} <a href='#{operation['operationId']}'><code>{escape(path)}</code></a></li>"
    yield "<li><a href='#errors'>Errors</a></li></ul></nav>"


def _operations(document: Json, schemas: Json) -> Iterator[str]:
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'].capitalize())}</h2>"
        for path, method, operation in _each(document):
            if tag["name"] in operation["tags"]:
                yield from _operation(path, method, operation, schemas)


def _operation(path: str, method: str, operation: Json, schemas: Json) -> Iterator[str]:
    yield f"<article id='{operation['operationId']}'><h3>{_method(method)} <code>{escape(path)}</code> "
    yield f"<small>{escape(operation['summary'])}</small></h3><p>{_inline(operation['description'])}</p>"
    yield from trying.curl_line(path, method, operation)
    yield from trying.form(path, method, operation)
    if operation["parameters"]:
        yield from _parameters(operation["parameters"])
    if body := operation.get("requestBody"):
        yield f"<p><strong>Takes</strong> {_inline(body['description'])}</p>"
        yield from _fields(body, schemas)
        yield from _media(body)
    yield "<p><strong>Answers</strong></p>"
    for status, response in operation["responses"].items():
        yield f"<details{' open' if status.startswith('2') else ''}><summary><code>{status}</code> "
        yield f"{_inline(response['description'])}</summary>"
        for name, header in response.get("headers", {}).items():
            yield f"<p><code>{escape(name)}</code>: {_inline(header['description'])}</p>"
        if status.startswith("2"):
            yield from _fields(response, schemas)
        yield from _media(response)
        yield "</details>"
    yield "</article>"


def _parameters(parameters: list[Json]) -> Iterator[str]:
    yield "<table><tr><th>Parameter</th><th>In</th><th>Value</th><th></th></tr>"
    for parameter in parameters:
        yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{parameter['in']}</td>"
        yield f"<td>{escape(_value(parameter['schema']))}</td><td>{_inline(parameter['description'])}</td></tr>"
    yield "</table>"


def _value(schema: Json) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}, default {schema['default']}"
    return str(schema.get("format", schema["type"]))


def _fields(body: Json, schemas: Json) -> Iterator[str]:
    shape = body.get("content", {}).get("application/json", {}).get("schema", {})
    reference = shape.get("items", shape).get("$ref")
    if reference is None:
        return
    schema = schemas[reference.rpartition("/")[2]]
    required = schema.get("required", [])
    yield "<details><summary>Fields</summary><table>"
    for name, field in schema["properties"].items():
        about = field.get("description") or schemas.get(_name_of(field), {}).get("description", "")
        need = "" if name in required else ", optional"
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(_type(field, schemas))}{need}</td>"
        yield f"<td>{_inline(about)}</td></tr>"
    yield "</table></details>"


def _type(field: Json, schemas: Json) -> str:
    if "anyOf" in field:
        return " or ".join(_type(choice, schemas) for choice in field["anyOf"])
    if "$ref" in field:
        return ", ".join(schemas[_name_of(field)].get("enum", ["object"]))
    return str(field.get("format", field.get("type", "any JSON")))


def _name_of(field: Json) -> str:
    return str(field.get("$ref", "")).rpartition("/")[2]


def _media(body: Json) -> Iterator[str]:
    for media_type, media in body.get("content", {}).items():
        found = [example["value"] for example in media.get("examples", {}).values()]
        for example in [*found, *([media["example"]] if "example" in media else [])]:
            yield f"<pre><code>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</code></pre>"
        if media_type == "application/wasm":
            yield "<p><code>application/wasm</code></p>"


def _problems() -> Iterator[str]:
    yield "<h2 id='errors'>Errors</h2><p>The <code>type</code> of a problem leads here.</p>"
    for kind in problem_kinds():
        yield f"<article id='{kind.name}'><h3><code>{kind.status.value}</code> {escape(kind.title)} "
        yield f"<small>{escape(kind.name)}</small></h3><p>{_inline(WHEN[kind.name])}</p><pre><code>"
        yield escape(json.dumps(problem_in_general(kind), indent=2, ensure_ascii=False))
        yield "</code></pre></article>"


def _method(method: str) -> str:
    return f"<span class='method {method}'>{method.upper()}</span>"


def _inline(text: str) -> str:
    """Text with `code` in backticks."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if at % 2 else piece for at, piece in enumerate(pieces))
