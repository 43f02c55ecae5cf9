"""The handlers of log, exec, attach, portforward and proxy subresources."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import quote

from steersman.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from steersman.apiserver import websocket
from steersman.apiserver.contracts import Call, CallHandler
from steersman.apiserver.http import Response
from steersman.apiserver.nodeproxy import locate
from steersman.apiserver.nodeproxy.backend import Backends, Unreachable
from steersman.apiserver.nodeproxy.locate import Target
from steersman.apiserver.registry import Registry
from steersman.apiserver.upgrading import wants_upgrade
from steersman.machinery.errors import BadRequest, InternalError, NotFound, ServiceUnavailable
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, labels_of

_SERVICE_NAME = "kubernetes.io/service-name"
_ATTRIBUTES = (
    "action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|profile|src|usemap"
)  # fmt: skip
_NOT_SENT = ("host", "authorization", "content-length", "connection", "transfer-encoding", "upgrade", "expect")


class NodeProxy:
    """Registers itself with `install`."""

    def __init__(self, backends: Backends, registry: Registry, rng: random.Random) -> None:
        self._backends, self._registry, self._rng = backends, registry, rng

    def install(self) -> None:
        handle = self._registry.handle
        handle("", "pods", "log", "GET", self.log)
        for what in ("exec", "attach", "portforward"):
            for method in ("GET", "POST"):
                handle("", "pods", what, method, self._stream(what))
        for plural, proxy in (("pods", self.pod), ("services", self.service), ("nodes", self.node)):
            handle("", plural, "proxy", "*", proxy)

    async def log(self, call: Call) -> Response:
        pod = await self._get(PODS, call.info.namespace, call.info.name)
        path = locate.log_path(pod, call.request.query_pairs)
        if not pod["spec"].get("nodeName"):
            return Response(204, content_type="")
        target = await self._kubelet(pod["spec"]["nodeName"], path)
        try:
            answer = await self._backends.fetch("GET", target, {}, b"")
        except Unreachable as fault:
            raise InternalError.of(f'Get "{target.origin}{target.path}": {fault}') from fault
        if answer.status >= 400:
            raise await _kubelet_error(answer)
        if answer.chunks is not None and websocket.is_websocket(call.request):
            return await websocket.stream(call.request, answer.chunks)
        return Response(200, content_type="text/plain", chunks=answer.chunks)

    def _stream(self, what: str) -> CallHandler:
        async def serve(call: Call) -> Response:
            pod = await self._get(PODS, call.info.namespace, call.info.name)
            path = locate.stream_path(pod, what, call.request.query_pairs)
            node = pod["spec"].get("nodeName")
            if not node:
                raise BadRequest(f"pod {call.info.name} does not have a host assigned")
            if "upgrade" not in call.request.headers.get("connection", "").lower():
                raise BadRequest("Upgrade request required")
            target = await self._kubelet(node, path)
            try:
                return await self._backends.upgrade(call.request, target)
            except Unreachable as fault:
                raise InternalError.of(f"error dialing backend: {fault}") from fault

        return serve

    async def node(self, call: Call) -> Response:
        name = locate.proxy_name("node", call.info.name)
        if _needs_slash(call):
            return _redirect(call)
        path, prefix = _paths(call)
        target = await self._kubelet(name.name, path)
        if name.port and name.port != str(target.port):
            target = Target(name.scheme or "http", target.host, int(name.port), path)
        return await self._pass(call, target, prefix)

    async def pod(self, call: Call) -> Response:
        name = locate.proxy_name("pod", call.info.name)
        pod = await self._get(PODS, call.info.namespace, name.name)
        if _needs_slash(call):
            return _redirect(call)
        path, prefix = _paths(call)
        return await self._pass(call, locate.pod_target(pod, name, path), prefix)

    async def service(self, call: Call) -> Response:
        name = locate.proxy_name("service", call.info.name)
        service = await self._get(SERVICES, call.info.namespace, name.name)
        if _needs_slash(call):
            return _redirect(call)
        path, prefix = _paths(call)
        slices = [
            item
            for item in self._registry.lister(ENDPOINT_SLICES).list(call.info.namespace)
            if labels_of(item).get(_SERVICE_NAME) == name.name
        ]
        return await self._pass(call, self._rng.choice(locate.service_targets(service, slices, name, path)), prefix)

    async def _pass(self, call: Call, target: Target, prefix: str) -> Response:
        request = call.request
        try:
            if wants_upgrade(request):
                return await self._backends.upgrade(request, target)
            headers = {name: value for name, value in request.headers.items() if name not in _NOT_SENT}
            headers["X-Forwarded-Uri"] = request.path
            headers["X-Forwarded-Host"] = request.headers.get("host", "")
            headers["X-Forwarded-Proto"] = "https"
            body = await request.read_body() if request.read_body is not None else b""
            answer = await self._backends.fetch(request.method, target, headers, body)
        except Unreachable as fault:
            raise ServiceUnavailable(f"error trying to reach service: {fault}") from fault
        try:
            return await _rewritten(answer, target, prefix)
        except ConnectionError as fault:
            raise ServiceUnavailable(f"error trying to reach service: {fault}") from fault

    async def _kubelet(self, node: str, path: str) -> Target:
        host, port = locate.kubelet_of(await self._get(NODES, "", node))
        return Target("https", host, port, path, kubelet=True)

    async def _get(self, resource: Resource, namespace: str, name: str) -> Obj:
        lister = self._registry.lister(resource)
        await lister.settle()
        found = lister.get(namespace, name)
        if found is None:
            raise NotFound.of(resource.group, resource.plural, name)
        return found


def _needs_slash(call: Call) -> bool:
    """Relative links of a root page need it. Who changes protocols follows no redirects."""
    request = call.request
    return request.method in ("GET", "HEAD") and request.path.endswith(f"/{call.info.name}/proxy") and not wants_upgrade(request)


def _redirect(call: Call) -> Response:
    query = f"?{call.request.raw_query}" if call.request.raw_query else ""
    return Response(301, content_type="", headers={"Location": f"{call.request.path}/{query}"})


def _paths(call: Call) -> tuple[str, str]:
    """(path and query for the backend, the proxy's own prefix)."""
    request = call.request
    marker = f"/{call.info.name}/proxy"
    start = request.path.index(marker) + len(marker)
    query = f"?{request.raw_query}" if request.raw_query else ""
    return quote(request.path[start:] or "/", safe="/:@!$&'()*+,;=~-._") + query, request.path[:start]


async def _kubelet_error(answer: Response) -> Exception:
    text = (await _read(answer.chunks)).decode("utf-8", "replace").strip()
    if answer.status == 404:
        return NotFound(text or "the server could not find the requested resource", details={})
    if answer.status == 400:
        return BadRequest(text)
    return InternalError(text or f"the kubelet answered {answer.status}")


async def _read(chunks: AsyncIterator[bytes] | None) -> bytes:
    return b"".join([chunk async for chunk in chunks]) if chunks is not None else b""


async def _rewritten(answer: Response, target: Target, prefix: str) -> Response:
    """Location headers and, in HTML, URL attributes that point to the backend get the proxy's prefix. Raises ConnectionError."""
    location = answer.headers.get("Location", "")
    if location.startswith(target.origin):
        location = location[len(target.origin) :] or "/"
    if location.startswith("/"):
        answer.headers["Location"] = prefix + location
    if not answer.content_type.startswith("text/html") or "Content-Encoding" in answer.headers:
        return answer
    pattern = rb"""(<[^<>]*?\s(?:%b)\s*=\s*["'])((?:%b)?/)(?!/)""" % (_ATTRIBUTES.encode(), re.escape(target.origin).encode())
    answer.headers.pop("Content-Length", None)
    body = re.sub(pattern, rb"\1" + prefix.encode() + b"/", await _read(answer.chunks))
    return replace(answer, chunks=None, body=body)
