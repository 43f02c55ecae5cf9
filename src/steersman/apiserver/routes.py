"""Paths that are no resources: health, version, metrics, discovery, OpenAPI, and what other parts add (OIDC keys)."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from steersman.apiserver.contracts import Call, CallHandler
from steersman.apiserver.health import Health
from steersman.apiserver.http import Response
from steersman.apiserver.metrics import TEXT_FORMAT, Metrics
from steersman.machinery.errors import MethodNotAllowed

NOT_FOUND = Response(404, b"404 page not found\n", "text/plain; charset=utf-8")


class Routes:
    """Exact paths, and prefixes that end with a slash."""

    def __init__(self) -> None:
        self._exact: dict[str, CallHandler] = {}
        self._below: dict[str, CallHandler] = {}
        self._unlisted: set[str] = set()

    def add(self, path: str, handler: CallHandler, *, listed: bool = True) -> None:
        if not listed:
            self._unlisted.add(path)
        (self._below if path.endswith("/") and path != "/" else self._exact)[path] = handler

    def find(self, path: str) -> CallHandler | None:
        found = self._exact.get(path) or self._exact.get(path.rstrip("/"))
        if found is None:
            found = next((handler for prefix, handler in self._below.items() if path.startswith(prefix)), None)
        return found

    def has(self, path: str) -> bool:
        return path in self._exact

    @property
    def paths(self) -> list[str]:
        return sorted(self._exact.keys() - self._unlisted)

    async def serve(self, call: Call) -> Response:
        handler = self.find(call.request.path)
        if handler is None:
            return Response(404, NOT_FOUND.body, NOT_FOUND.content_type)
        return await handler(call)


def install_basic(routes: Routes, health: Health, metrics: Metrics, version: Callable[[], bytes]) -> None:
    """Health, metrics, version, and the list of paths at /."""

    async def show_version(call: Call) -> Response:
        _only_get(call)
        return Response(body=version())

    async def show_metrics(call: Call) -> Response:
        _only_get(call)
        # Imported by the first who looks: counting does without.
        from steersman.apiserver import exposition

        return Response(body=exposition.render(metrics), content_type=TEXT_FORMAT)

    async def show_paths(call: Call) -> Response:
        _only_get(call)
        return Response(body=orjson.dumps({"paths": routes.paths}, option=orjson.OPT_INDENT_2))

    routes.add("/version", show_version)
    routes.add("/metrics", show_metrics)
    routes.add("/metrics/slis", health.slis)
    routes.add("/", show_paths)
    for name in ("livez", "readyz", "healthz"):
        routes.add(f"/{name}", health.serve)
        routes.add(f"/{name}/", health.serve)


def _only_get(call: Call) -> None:
    if call.request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed
