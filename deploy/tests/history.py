"""All that a platform holds, to be compared before and after."""

from typing import Any

import httpx

Json = dict[str, Any]


def read_history(api: httpx.Client) -> tuple[list[Json], list[Json]]:
    """Every function and every execution as the lists have them; of the functions and the newest 200 executions all
    details follow, for there are thousands."""
    functions, executions = _all(api, "/functions"), _all(api, "/executions")
    functions += [api.get(f"/functions/{found['id']}").json() for found in functions]
    executions += [api.get(f"/executions/{found['id']}").json() for found in executions[:200]]
    return functions, executions


def _all(api: httpx.Client, path: str) -> list[Json]:
    found: list[Json] = []
    following: str | None = f"{path}?limit=200"
    while following is not None:
        response = api.get(following).raise_for_status()
        found += response.json()
        following = response.links.get("next", {}).get("url")
    return found
