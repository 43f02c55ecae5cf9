"""pods/binding, and POST bindings: the scheduler's word that a pod runs on a node."""

from __future__ import annotations

from steersman.api.decode import decode
from steersman.api.groups.core_v1 import BINDINGS
from steersman.apiserver import respond
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.context import Api
from steersman.apiserver.handlers.options import write_options
from steersman.apiserver.handlers.update import AS_IS, modify
from steersman.apiserver.handlers.write import Write, match_url, read_body
from steersman.apiserver.http import Response
from steersman.apiserver.negotiate import body_media_type
from steersman.apiserver.registry import Served
from steersman.machinery import fielderrors
from steersman.machinery.errors import BadRequest, Conflict, Invalid
from steersman.machinery.fielderrors import FieldError
from steersman.machinery.meta import Obj, is_deleting, metadata, name_of, set_condition

SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def bind(api: Api, call: Call, served: Served) -> Response:
    """served: pods. The pod's name is in the URL, or (POST bindings) only in the body."""
    write = Write(api, call, served, write_options(call.request, "CreateOptions"), "binding")
    binding, warnings = decode(await read_body(call), body_media_type(call.request), BINDINGS)
    write.warnings += warnings
    name = call.info.name or name_of(binding)
    if name_of(binding) not in ("", name):
        raise BadRequest("name in URL does not match name in Binding object")
    match_url(binding, served, call.info.namespace, name)
    target = binding.get("target") or {}
    _check_target(name, target)
    request = write.admission("CREATE", name, binding, None)
    await api.admission.admit(request)
    await api.admission.validate(request)

    async def change(pod: Obj) -> Obj:
        _check_pod(pod, name, metadata(binding))
        pod["spec"]["nodeName"] = target["name"]
        meta = metadata(pod)
        for key in ("annotations", "labels"):
            if metadata(binding).get(key):
                meta[key] = {**(meta.get(key) or {}), **metadata(binding)[key]}
        status = pod.setdefault("status", {})
        status.pop("nominatedNodeName", None)
        set_condition(status.setdefault("conditions", []), "PodScheduled", "True", api.clock.now())
        return pod

    await modify(write, call.info.namespace, name, change, steps=AS_IS, skip_admission=True)
    return respond.of_obj(call.request, SUCCESS, 201, write.warnings)


def _check_target(name: str, target: Obj) -> None:
    errors: list[FieldError] = []
    kind = target.get("kind") or ""
    if kind not in ("", "Node"):
        errors.append(fielderrors.not_supported("target.kind", kind, ["Node", "<empty>"]))
    if not target.get("name"):
        errors.append(fielderrors.required("target.name"))
    if errors:
        raise Invalid.of("", "Binding", name, errors)


def _check_pod(pod: Obj, name: str, binding: Obj) -> None:
    """Raises Conflict."""
    spec, meta = pod["spec"], metadata(pod)
    why = ""
    if binding.get("uid") and binding["uid"] != meta.get("uid"):
        why = f"Precondition failed: UID in precondition: {binding['uid']}, UID in object meta: {meta.get('uid')}"
    elif binding.get("resourceVersion") and binding["resourceVersion"] != meta.get("resourceVersion"):
        why = (
            f"Precondition failed: ResourceVersion in precondition: {binding['resourceVersion']}, "
            f"ResourceVersion in object meta: {meta.get('resourceVersion')}"
        )
    elif is_deleting(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        raise Conflict.of("", "pods/binding", name, why)
