"use strict";

// A request as its form describes it: the path with its query, and the body.
function requestOf(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("input, select")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    else if (field.value !== "") query.set(field.name, field.value);
  }
  const body = form.querySelector("textarea");
  return { path: query.size ? `${path}?${query}` : path, body: body && body.value };
}

// JSON with line breaks. It is not parsed, so that numbers keep their digits.
function indented(json) {
  let depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[\[{]\s*[\]}]|[\[\]{},:]|[^\s\[\]{},:"]+/g) ?? [];
  return tokens.map((token) => {
    if (token === "{" || token === "[") { depth += 1; return token + line(); }
    if (token === "}" || token === "]") { depth -= 1; return line() + token; }
    return token === "," ? token + line() : token === ":" ? ": " : token;
  }).join("");
}

async function textOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (type === "application/wasm") return `(${(await response.arrayBuffer()).byteLength} bytes)`;
  const text = await response.text();
  return type.includes("json") ? indented(text) : text;
}

async function send(form) {
  const { path, body } = requestOf(form);
  const method = form.dataset.method;
  if (method === "DELETE" && !confirm(`Send DELETE ${path}?`)) return;
  const shown = form.querySelector("pre");
  shown.hidden = false;
  shown.textContent = `${method} ${path} ...`;
  try {
    const headers = body === null ? {} : { "Content-Type": "application/json" };
    const response = await fetch(path, { method, body, headers });
    const told = ["location", "link", "etag", "retry-after", "x-request-id"]
      .filter((name) => response.headers.has(name)).map((name) => `${name}: ${response.headers.get(name)}\n`);
    shown.textContent = `${response.status} ${response.statusText}\n${told.join("")}\n${await textOf(response)}`.trim();
  } catch (error) {
    shown.textContent = `${method} ${path}: ${error.message}`;
  }
}

for (const element of document.querySelectorAll(".origin")) element.textContent = location.origin;
for (const form of document.querySelectorAll("form")) {
  form.hidden = false;
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
}
