"""The deprecated paths below /watch/, which upstream still serves and lists: one per collection and one per object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from steersman.api.kinds import KindSpec
from steersman.machinery.meta import Obj


def add_to(found: Obj, spec: KindSpec, lead: str, operation: Callable[[str, str], Obj], parameters: dict[str, list[Any]]) -> None:
    """`lead`: the first part of names of operations, like `CoreV1`. `operation(operation_id, action)` makes a GET that answers
    WatchEvents. `parameters`: those in the `query` of each path, `scope` (the namespace) and `name`.
    """
    resource = spec.resource
    everywhere = _watched(resource.path())
    scope = "Namespaced" if resource.namespaced else ""
    if resource.namespaced:
        get = operation(f"watch{lead}{spec.kind}ListForAllNamespaces", "watchlist")
        found[everywhere] = {"get": get, "parameters": parameters["query"]}
    collection = _watched(resource.path("{namespace}")) if resource.namespaced else everywhere
    below = [*parameters["scope"], *parameters["query"]]
    found[collection] = {"get": operation(f"watch{lead}{scope}{spec.kind}List", "watchlist"), "parameters": below}
    if "get" in spec.verbs:
        get = operation(f"watch{lead}{scope}{spec.kind}", "watch")
        found[f"{collection}/{{name}}"] = {"get": get, "parameters": [*parameters["name"], *below]}


def _watched(path: str) -> str:
    """
    >>> _watched("/api/v1/pods"), _watched("/apis/apps/v1/namespaces/{namespace}/deployments")
    ('/api/v1/watch/pods', '/apis/apps/v1/watch/namespaces/{namespace}/deployments')
    """
    parts = path.split("/")
    version_at = 2 if parts[1] == "api" else 3
    return "/".join((*parts[: version_at + 1], "watch", *parts[version_at + 1 :]))
