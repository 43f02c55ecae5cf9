"""scale: an autoscaling/v1 Scale in front of spec.replicas of the workload kinds, or of what a custom resource has instead."""

from __future__ import annotations

import copy
from collections.abc import Callable

from steersman.api.customresources import scale as custom
from steersman.api.decode import decode
from steersman.api.groups.bodies import SCALE
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers import ownership
from steersman.apiserver.handlers.apply import applied, check_kind, is_apply, read, tell_repeated
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.patch import decoded, patch_of
from steersman.apiserver.handlers.update import modify
from steersman.apiserver.handlers.write import Write, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import body_media_type
from steersman.apiserver.registry import Served
from steersman.apiserver.subresources.scalemanagers import API_VERSION, ScaleVersions, to_object, to_scale
from steersman.machinery import fielderrors, labels
from steersman.machinery.apply import managers
from steersman.machinery.apply.managers import APPLY, UPDATE, Managers, manager_id
from steersman.machinery.apply.updater import Writer
from steersman.machinery.errors import Conflict, Invalid, NotFound, StatusError
from steersman.machinery.meta import Obj, dig, metadata


async def get(api: Api, call: Call, served: Served) -> Response:
    stored = await api.current(served, call.info.namespace, call.info.name)
    if stored is None:
        raise NotFound.of(served.resource.group, served.resource.plural, call.info.name)
    return respond.of_obj(call.request, _scale_of(served, served.peek(stored)))


async def update(api: Api, call: Call, served: Served) -> Response:
    write = Write(api, call, served, write_options(call.request, "UpdateOptions"), "scale")
    scale, warnings = decode(await read_body(call), body_media_type(call.request), SCALE)
    write.warnings += warnings
    match_url(scale, served, call.info.namespace, call.info.name)
    return await _set(write, lambda current, owners: (scale, _followed(write, current, scale, owners)))


async def patch(api: Api, call: Call, served: Served) -> Response:
    if is_apply(call):
        return await _apply(api, call, served)
    asked = patch_of(call, SCALE.schema, await read_body(call))
    write = Write(api, call, served, write_options(call.request, "PatchOptions"), "scale")

    def patched(current: Obj, owners: Managers) -> tuple[Obj, Managers]:
        obj, _ = decoded(SCALE, asked, copy.deepcopy(current))
        match_url(obj, served, call.info.namespace, call.info.name)
        return obj, _followed(write, current, obj, owners)

    return await _set(write, patched)


async def _apply(api: Api, call: Call, served: Served) -> Response:
    config = read(await read_body(call))
    write = Write(api, call, served, write_options(call.request, "PatchOptions", apply=True), "scale")

    def merged(current: Obj, owners: Managers) -> tuple[Obj, Managers]:
        check_kind(config.obj, SCALE.kind, API_VERSION)
        writer = _writer(write, APPLY)
        found = applied(current, config.obj, owners, writer, ScaleVersions(), force=write.options.force)
        tell_repeated(write, config)
        obj = found.obj if found.obj is not None else current
        match_url(obj, served, call.info.namespace, call.info.name)
        return obj, found.managers

    return await _set(write, merged)


def _writer(write: Write, operation: str) -> Writer:
    name = ownership.manager_name(write.call, write.options.field_manager)
    return Writer(manager_id(name, operation, API_VERSION, "scale"), API_VERSION, lambda fields: fields, write.api.timestamp())


def _followed(write: Write, current: Obj, scale: Obj, owners: Managers) -> Managers:
    """Replicas that nobody owns stay so until somebody applies."""
    return ownership.followed(current, scale, owners, _writer(write, UPDATE), ScaleVersions()) if owners else {}


async def _set(write: Write, wanted: Callable[[Obj, Managers], tuple[Obj, Managers]]) -> Response:
    """Bring the Scale that `wanted` makes of the current one and of who owns it into the object."""
    info, spec = write.call.info, write.served.spec

    async def change(current: Obj) -> Obj:
        owners = managers.stored(metadata(current).get("managedFields"))
        before = _scale_of(write.served, current)
        scale, scaled = wanted(before, to_scale(owners, spec))
        version = metadata(scale).get("resourceVersion")
        if version and version != current["metadata"]["resourceVersion"]:
            raise Conflict.of(write.served.resource.group, write.served.resource.plural, info.name)
        # Webhooks and policies are about the Scale; of the other plugins none has anything to say of it.
        await write.api.admission.connect(write.admission("UPDATE", info.name, scale, before))
        replicas = dig(scale, "spec", "replicas", default=0)
        if replicas < 0:
            text = "must be greater than or equal to 0"
            raise Invalid.of("autoscaling", "Scale", info.name, [fielderrors.invalid("spec.replicas", replicas, text)])
        if spec.scale is None:
            current["spec"]["replicas"] = replicas
        else:
            write.refuse(info.name, custom.set_replicas(current, spec.scale, replicas))
        ownership.put(current, to_object(scaled, owners, spec))
        return current

    stored = await modify(write, info.namespace, info.name, change, follow=False, skip_admission=True)
    return respond.of_obj(write.call.request, _scale_of(write.served, write.served.peek(stored)), warnings=write.warnings)


def _scale_of(served: Served, obj: Obj) -> Obj:
    """Raises StatusError for custom resources that do not say how many there should be."""
    paths = served.spec.scale
    if paths is None:
        return scale_of(obj)
    replicas = custom.replicas_of(obj, paths.spec_replicas)
    if replicas is None:
        raise StatusError(custom.missing(paths))
    return _scale(obj, replicas, custom.replicas_of(obj, paths.status_replicas) or 0, custom.selector_of(obj, paths))


def scale_of(obj: Obj) -> Obj:
    """The Scale of a workload."""
    ready = dig(obj, "status", "replicas", default=0)
    return _scale(obj, dig(obj, "spec", "replicas", default=0), ready, _selector_text(dig(obj, "spec", "selector")))


def _scale(obj: Obj, replicas: int, ready: int, selector: str) -> Obj:
    """Replica counts of 0 are left out, as upstream's encoding does."""
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Obj = {"replicas": ready}
    if selector:
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: meta[key] for key in kept if key in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector_text(selector: Obj | None) -> str:
    """ReplicationControllers select by a plain map, the others by a LabelSelector."""
    if not selector:
        return ""
    if "matchLabels" in selector or "matchExpressions" in selector:
        return str(labels.from_label_selector(selector))
    return str(labels.from_map(selector))
