"""How to try an operation: a line for curl, and a form that sends the same from `/docs`."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

ORIGIN = "http://127.0.0.1:8080"


def example_path(path: str, parameters: list[Json]) -> str:
    """A path whose parameters have the values of their examples."""
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
    return path


def curl_line(path: str, method: str, operation: Json) -> Iterator[str]:
    """As HTML. The page puts its own address in the place of the usual one."""
    where = escape(example_path(path, operation["parameters"]))
    options = "" if method in ("get", "post") else f" -X {method.upper()}"
    body = _example_body(operation)
    if body is not None:
        options += " -H 'Content-Type: application/json' \\\n    -d " + _quoted(json.dumps(body, ensure_ascii=False))
    if path.endswith("/wasm"):
        options += " -o module.wasm"
    yield f"<pre class='curl'><code>curl -s <span class='origin'>{ORIGIN}</span>{where}{escape(options)}</code></pre>"


def form(path: str, method: str, operation: Json) -> Iterator[str]:
    """As HTML: hidden until the page's script shows it, since it does nothing without."""
    yield "<details><summary>Try it</summary>"
    yield f"<form hidden data-path='{escape(path)}' data-method='{method.upper()}'>"
    for parameter in operation["parameters"]:
        yield f"<label>{escape(parameter['name'])} {_field(parameter)}</label>"
    body = _example_body(operation)
    if body is not None:
        yield f"<label>body <textarea>{escape(json.dumps(body, indent=2, ensure_ascii=False))}</textarea></label>"
    yield "<button>Send</button><pre hidden></pre></form></details>"


def _field(parameter: Json) -> str:
    attributes = f"name='{escape(parameter['name'])}' data-in='{parameter['in']}'"
    if "enum" in parameter["schema"]:
        choices = "".join(f"<option>{escape(choice)}</option>" for choice in ("", *parameter["schema"]["enum"]))
        return f"<select {attributes}>{choices}</select>"
    value = parameter["example"] if parameter["in"] == "path" else ""
    required = " required" if parameter["required"] else ""
    return f"<input {attributes} value='{escape(str(value))}'{required}>"


def _example_body(operation: Json) -> Any:
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return media.get("example")


def _quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
