"""What a method and URL mean: RequestInfo. Parsed by hand, once per request, before anything else looks at it.

Source: upstream endpoints/request/requestinfo.go. What is not here: whether the resource exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from steersman.apiserver.contracts import RequestInfo
from steersman.machinery.gobooleans import query_bool

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_NAMESPACE_SUBRESOURCES = frozenset(("status", "finalize"))
_METADATA_NAME = "metadata.name="
_KEPT_LENGTH = 256


def parse(method: str, path: str, query: Sequence[tuple[str, str]] = ()) -> RequestInfo:
    """The RequestInfo of a decoded URL path.

    >>> parse("GET", "/api/v1/namespaces/default/pods/web/log").subresource
    'log'
    """
    return _parse(method, path, query) if query or len(path) > _KEPT_LENGTH else _parse_kept(method, path)


@lru_cache(1024)
def _parse_kept(method: str, path: str) -> RequestInfo:
    """Clients ask the same again and again: a lease, a status, the collection they create in."""
    return _parse(method, path, ())


def _parse(method: str, path: str, query: Sequence[tuple[str, str]]) -> RequestInfo:
    parts = path.split("/")
    if parts[-1] == "" and len(parts) > 1:
        parts.pop()
    # parts[0] is the empty text before the leading slash.
    if len(parts) < 4 or (parts[1] != "api" and (parts[1] != "apis" or len(parts) < 5)):
        return RequestInfo(method.lower(), path)
    if parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    else:
        group, version, rest = parts[2], parts[3], parts[4:]
    verb = _VERBS.get(method, method.lower())
    old_watch = rest[0] == "watch" and len(rest) > 1
    if old_watch:
        rest = rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    count = len(rest)
    name = rest[1] if count > 1 else ""
    if old_watch:
        verb = "watch"
    elif not name:
        verb = _collection_verb(verb, query)
    selector = by_label = ""
    if query and not name and verb in ("list", "watch", "deletecollection"):
        selector = next((value for key, value in query if key == "fieldSelector"), "")
        by_label = next((value for key, value in query if key == "labelSelector"), "")
        name = _selected_name(selector) if selector else ""
    subresource = rest[2] if count > 2 else ""
    return RequestInfo(
        verb, path, True, group, version, namespace, rest[0], subresource, name, tuple(rest[3:]), selector, by_label
    )  # fmt: skip


def _collection_verb(verb: str, query: Sequence[tuple[str, str]]) -> str:
    if verb == "get":
        for key, value in query:
            if key == "watch":
                return "watch" if query_bool(value) else "list"
        return "list"
    return "deletecollection" if verb == "delete" else verb


def _selected_name(selector: str) -> str:
    """`fieldSelector=metadata.name=web` also names the object, for authorisation."""
    for term in selector.split(","):
        if term.startswith(_METADATA_NAME):
            return term[len(_METADATA_NAME) :].removeprefix("=")
    return ""
