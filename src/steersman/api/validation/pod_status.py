"""Validation of pod status updates."""

from __future__ import annotations

from collections.abc import Sequence

from steersman.api.validation.common import Errors, complain, subdomain
from steersman.api.validation.service import family
from steersman.machinery import names
from steersman.machinery.fielderrors import FieldError, forbidden, invalid
from steersman.machinery.meta import Obj

_ONE_EACH = "may specify no more than one IP for each IP family"


def validate_pod_status(new: Obj, old: Obj) -> list[FieldError]:
    errors: Errors = []
    status, before = new.get("status") or {}, old.get("status") or {}
    spec = old.get("spec") or {}
    _simple(errors, status, before, bool(spec.get("nodeName")))
    _restarts(errors, status, before, spec)
    _ips(errors, "status.podIPs", status.get("podIPs") or ())
    hosts = status.get("hostIPs") or ()
    _ips(errors, "status.hostIPs", hosts)
    if hosts and hosts[0].get("ip") != status.get("hostIP"):
        errors.append(invalid("status.hostIPs[0].ip", hosts[0].get("ip", ""), "must be equal to `hostIP`"))
    return errors


def _simple(errors: Errors, status: Obj, before: Obj, bound: bool) -> None:
    for index, item in enumerate(status.get("conditions") or ()):
        kind = item.get("type") or ""
        complain(errors, f"status.conditions[{index}].type", kind, names.qualified_name(kind))
    generation = status.get("observedGeneration") or 0
    if generation < 0:
        errors.append(invalid("status.observedGeneration", generation, "must be a non-negative integer"))
    nominated = status.get("nominatedNodeName") or ""
    if nominated:
        subdomain(errors, "status.nominatedNodeName", nominated)
        if bound and nominated != (before.get("nominatedNodeName") or ""):
            text = "may not be set on pods that are already bound to a node"
            errors.append(forbidden("status.nominatedNodeName", text))
    qos = before.get("qosClass") or ""
    if qos and (status.get("qosClass") or "") != qos:
        errors.append(invalid("status.qosClass", status.get("qosClass") or "", "field is immutable"))


def _restarts(errors: Errors, status: Obj, before: Obj, spec: Obj) -> None:
    """Terminated containers that nothing restarts stay terminated."""
    policy = spec.get("restartPolicy") or "Always"
    own = {
        item.get("name"): item
        for kind in ("containers", "initContainers")
        for item in spec.get(kind) or ()
        if item.get("restartPolicy") or item.get("restartPolicyRules")
    }
    for kind in ("containerStatuses", "initContainerStatuses"):
        if policy == "Always" and kind == "containerStatuses" and not own:
            continue
        fresh = {item.get("name"): item for item in status.get(kind) or ()}
        for index, item in enumerate(before.get(kind) or ()):
            ended = (item.get("state") or {}).get("terminated")
            current = fresh.get(item.get("name"))
            if not ended or current is None or (current.get("state") or {}).get("terminated"):
                continue
            if not _may_restart(own.get(item.get("name")), policy, ended, init=kind.startswith("init")):
                text = "may not be transitioned to non-terminated state"
                errors.append(forbidden(f"status.{kind}[{index}].state", text))


def _may_restart(container: Obj | None, policy: str, ended: Obj, *, init: bool) -> bool:
    if init and policy == "Always":
        # Also one that has succeeded: when the pod's sandbox is lost they all run again.
        return True
    if container is not None:
        if container.get("restartPolicyRules"):
            return True
        policy = container.get("restartPolicy") or policy
    return policy == "Always" or (policy == "OnFailure" and ended.get("exitCode", 0) != 0)


def _ips(errors: Errors, path: str, items: Sequence[Obj]) -> None:
    families: set[str] = set()
    for index, item in enumerate(items):
        value = item.get("ip") or ""
        texts = names.ip(value)
        complain(errors, f"{path}[{index}]", value, texts)
        if texts:
            continue
        if family(value) in families:
            errors.append(invalid(path, [entry.get("ip", "") for entry in items], _ONE_EACH))
            return
        families.add(family(value))
