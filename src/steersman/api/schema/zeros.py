"""Zero values as Go's encoding has them: plain fields that are false, 0, "" or empty are left out, pointers to such values stay,
and structs that are no pointers are always there (`status: {}`), as are the type and status of a condition.

So an object reads the same whether a client wrote `hostNetwork: false` or nothing. Which scalars are pointers is in the protobuf
facts; lists and maps never are. Nulls are dropped elsewhere (schema/checker.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from steersman.api.protobuf import facts
from steersman.api.schema.loader import PREFIX, Type, definition
from steersman.machinery.meta import Obj

_ZEROS: dict[str, Any] = {"string": "", "boolean": False, "int32": 0, "int64": 0, "integer": 0, "double": 0, "number": 0}
_SCALARS = frozenset((*_ZEROS, "bytes"))
_PLURALS = ("list", "map")
_OF_CONDITIONS = ("type", "status")

_KEPT = {
    "api.apps.v1.StatefulSetOrdinals": "start",
    "api.apps.v1.StatefulSetSpec": "serviceName",
    "api.autoscaling.v2.HorizontalPodAutoscalerStatus": "currentMetrics",
    "api.discovery.v1.EndpointSlice": "ports",
    "api.flowcontrol.v1.FlowSchemaSpec": "matchingPrecedence",
    "api.flowcontrol.v1.QueuingConfiguration": "handSize queueLengthLimit queues",
    "api.rbac.v1.ClusterRole": "rules",
    "api.rbac.v1.Role": "rules",
    "apimachinery.pkg.apis.meta.v1.ObjectMeta": "managedFields",
}
"""Fields that are neither required nor pointers, and yet Go does not mark them omitempty. Empty managedFields are a request: to
forget who owns what; they are never stored."""

_KIND_STRUCTS = ("metadata", "spec", "status")
_STRUCTS = {
    "api.core.v1.Event": "involvedObject source",
    "api.core.v1.NodeDaemonEndpoints": "kubeletEndpoint",
    "api.core.v1.NodeStatus": "daemonEndpoints nodeInfo",
    "api.core.v1.ServiceStatus": "loadBalancer",
    "api.networking.v1.IngressStatus": "loadBalancer",
}
"""Structs that are no pointers, besides the metadata, spec and status of kinds: those that clients leave to the server."""

_WRITTEN = {
    "api.apps.v1.StatefulSetStatus": "availableReplicas",
    "api.core.v1.Event": "reportingComponent reportingInstance",
    "api.policy.v1.PodDisruptionBudgetStatus": "currentHealthy desiredHealthy disruptionsAllowed expectedPods",
}
"""Scalars that are always written although the schema does not require them."""

_NULL_TIMES = {"api.core.v1.Event": "eventTime firstTimestamp lastTimestamp"}
"""Times that are no pointers: null if there is none."""
_PROBED = (f"{PREFIX}api.core.v1.Pod", f"{PREFIX}api.core.v1.PersistentVolumeClaim")
"""Kinds whose conditions have such a time as well."""


def _named(table: dict[str, str], name: str) -> list[str]:
    return table.get(name.removeprefix(PREFIX), "").split()


class _Members:
    """The fields of one definition: which may be dropped when they are zero, and what is inside the others."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def droppable(self) -> frozenset[str]:
        if not facts.known(self._name):
            return frozenset()
        kept = _named(_KEPT, self._name)
        return frozenset(
            found.field.name
            for found in facts.numbered(self._name)
            if found.omit_zero and found.field.type.kind in (*_SCALARS, *_PLURALS) and found.field.name not in kept
        )

    @cached_property
    def given(self) -> tuple[str, ...]:
        """Text that is always there, if this is a condition: whoever reads one counts on it."""
        found = definition(self._name)
        if not found.required.issuperset(_OF_CONDITIONS):
            return ()
        return tuple(name for name in sorted(found.required) if found.fields[name].type.kind == "string")

    @cached_property
    def nested(self) -> dict[str, Callable[[Any], None]]:
        if not facts.known(self._name):
            return {}
        inner = ((field.name, _inside(field.type)) for field in definition(self._name).fields.values())
        return {key: drop for key, drop in inner if drop is not None}

    def drop(self, value: Obj) -> None:
        gone = None
        nested = self.nested
        for key, item in value.items():
            if not item:
                if key in self.droppable:
                    gone = [key] if gone is None else [*gone, key]
            elif key in nested:
                nested[key](item)
        if gone is not None:
            for key in gone:
                del value[key]
        for key in self.given:
            value.setdefault(key, "")


@cache
def _members(name: str) -> _Members:
    return _Members(name)


def _inside(kind: Type) -> Callable[[Any], None] | None:
    """What drops zeros inside values of a type; None where no struct can be inside."""
    if kind.kind == "ref":
        return _members(kind.ref).drop
    if kind.item is None:
        return None
    inner = _inside(kind.item)
    if inner is None:
        return None

    def each(value: Any) -> None:
        for item in value.values() if type(value) is dict else value:
            inner(item)

    return each


def drop(obj: Obj, name: str) -> None:
    """Leave out what Go leaves out of an object of a definition (full name), in place; complete its conditions.

    The object has passed the type check.
    """
    _members(name).drop(obj)


def given(name: str) -> tuple[str, ...]:
    """The fields of a definition that `drop` puts in where they are missing."""
    return _members(name).given


def droppable(name: str) -> frozenset[str]:
    """The fields of a definition that are left out when they are zero."""
    return _members(name).droppable


@cache
def blank(name: str) -> Obj:
    """The top-level fields that objects of a kind always have, with what is always in a status. Shared: never change it."""
    made: Obj = {}
    for key, field in definition(name).fields.items():
        if field.type.kind == "ref" and (key in _KIND_STRUCTS or key in _named(_STRUCTS, name)):
            made[key] = _blank_status(field.type.ref) if key == "status" else {}
    return {**made, **dict.fromkeys(_named(_WRITTEN, name), ""), **dict.fromkeys(_named(_NULL_TIMES, name))}


def _blank_status(name: str) -> Obj:
    structs, written = _named(_STRUCTS, name), _named(_WRITTEN, name)
    made: Obj = {}
    for key, field in definition(name).fields.items():
        if key in structs:
            made[key] = _blank_status(field.type.ref)
        elif (field.required or key in written) and field.type.kind in _ZEROS:
            made[key] = _ZEROS[field.type.kind]
    return made


def fill(obj: Obj, name: str) -> None:
    """Put in what Go always writes at the top of an object and of its status, in place."""
    for key, always in blank(name).items():
        found = obj.get(key)
        if found is None:
            obj[key] = copy.deepcopy(always)
        elif always and key == "status":
            for inner, value in always.items():
                if inner not in found:
                    found[inner] = copy.deepcopy(value)
    if name in _PROBED:
        for condition in obj["status"].get("conditions") or ():
            condition.setdefault("lastProbeTime", None)
