"""From an authorised resource request to the handler that serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from steersman.apiserver.contracts import Call, RequestInfo
from steersman.apiserver.handlers import create, delete, patch, read, update, watch
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.http import Response
from steersman.apiserver.registry import Registry, Served
from steersman.apiserver.routes import NOT_FOUND, Routes
from steersman.apiserver.subresources import binding, connecting, eviction, namespaces, pods, scale
from steersman.machinery.errors import BadRequest, MethodNotAllowed, NotFound

VerbHandler = Callable[[Api, Call, Served], Awaitable[Response]]

VERBS: Mapping[str, VerbHandler] = {
    "get": read.get,
    "list": read.list_,
    "watch": watch.watch,
    "create": create.create,
    "update": update.update,
    "patch": patch.patch,
    "delete": delete.delete,
    "deletecollection": delete.delete_collection,
}
_POD_PARTS: Mapping[str, VerbHandler] = {"get": pods.get, "update": pods.update, "patch": pods.patch}

SUBRESOURCES: Mapping[str, Mapping[str, VerbHandler]] = {
    "status": {"get": read.get, "update": update.update, "patch": patch.patch},
    "approval": {"get": read.get, "update": update.update, "patch": patch.patch},
    "scale": {"get": scale.get, "update": scale.update, "patch": scale.patch},
    "finalize": {"update": namespaces.finalize},
    "binding": {"create": binding.bind},
    "eviction": {"create": eviction.evict},
    "ephemeralcontainers": _POD_PARTS,
    "resize": _POD_PARTS,
}
"""By name, for every kind that lists the subresource. Special ones are registered with Registry.handle."""


_DEPRECATED = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("", "v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}


def serves(registry: Registry, routes: Routes, info: RequestInfo) -> bool:
    """Whether there is such a kind, subresource or (exactly) path."""
    if not info.is_resource:
        return routes.has(info.path)
    served = registry.lookup(info.group, info.version, info.plural)
    return served is not None and (not info.subresource or served.spec.subresource(info.subresource) is not None)


async def dispatch(api: Api, call: Call) -> Response:
    """Raises NotFound for unknown resources of a known version, MethodNotAllowed for verbs that are not served."""
    response = await _dispatch(api, call)
    info = call.info
    warning = _DEPRECATED.get((info.group, info.version, info.plural), "")
    served = api.registry.lookup(info.group, info.version, info.plural)
    if served is not None and served.spec.deprecation:
        warning = served.spec.deprecation
    if warning:
        response.warnings.append(warning)
        if served is not None:
            served.deprecated_uses.add(info.subresource)
        if call.request.audit is not None:
            call.request.audit.annotations["k8s.io/deprecated"] = "true"
    return response


async def _dispatch(api: Api, call: Call) -> Response:
    info = call.info
    if api.remotes and (elsewhere := api.remotes.get((info.group, info.version))) is not None:
        return await elsewhere(call)
    served = api.registry.lookup(info.group, info.version, info.plural)
    if served is None:
        if api.registry.knows_version(info.group, info.version):
            raise _unknown()
        return Response(404, NOT_FOUND.body, NOT_FOUND.content_type)
    if info.subresource:
        return await _subresource(api, call, served)
    handler = api.registry.handler(info.group, info.plural, "", call.request.method)
    if handler is not None:
        return await handler(call)
    verb = VERBS.get(info.verb)
    if verb is None or not served.stored:
        raise MethodNotAllowed
    if info.name:
        _check_name(info.name)
    # The name of a list or watch comes from its field selector, and all namespaces may be asked for it.
    one = info.name and info.verb not in ("list", "watch")
    if bool(info.namespace) is not served.resource.namespaced and (one or not served.resource.namespaced):
        _check_scope(call, served)
    return await verb(api, call, served)


async def _subresource(api: Api, call: Call, served: Served) -> Response:
    info = call.info
    if served.spec.subresource(info.subresource) is None:
        raise _unknown()
    handler = api.registry.handler(info.group, info.plural, info.subresource, call.request.method)
    if handler is not None:
        await connecting.admit(api, call, served)
        return await handler(call)
    verb = SUBRESOURCES.get(info.subresource, {}).get(info.verb)
    if verb is None:
        raise MethodNotAllowed
    return await verb(api, call, served)


def _check_scope(call: Call, served: Served) -> None:
    """A namespaced object without a namespace in the URL, or the reverse, is no path of the API."""
    if served.resource.namespaced or (call.info.namespace and served.resource.plural != "namespaces"):
        raise _unknown()


def _check_name(name: str) -> None:
    if name in (".", ".."):
        raise BadRequest(f"Name parameter invalid: \"{name}\": may not be '{name}'")
    for bad in "/%":
        if bad in name:
            raise BadRequest(f"Name parameter invalid: \"{name}\": may not contain '{bad}'")


def _unknown() -> NotFound:
    return NotFound("the server could not find the requested resource", details={})
