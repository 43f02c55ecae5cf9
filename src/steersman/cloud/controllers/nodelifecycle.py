"""The cloud node lifecycle controller: a node that is not ready is gone if its machine is, and tainted if that is switched off.

Source: upstream cloud-provider/controllers/nodelifecycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from steersman.api.resources import NODES
from steersman.cloud.controllers.node import is_uninitialized
from steersman.cloud.interface import Instances
from steersman.loop.spec import Call, ControllerSpec, Decision, Delete, Emit, Patch, Result, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, dig, is_condition_true, is_deleting, name_of, resource_version_of, uid_of

SHUTDOWN = "node.cloudprovider.kubernetes.io/shutdown"
PERIOD_S = 5.0


def _reconcile(instances: Instances, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    node = snapshot.get(NODES, *key)
    # The provider need not know a node yet that still waits to be initialised.
    if node is None or is_deleting(node) or is_uninitialized(node):
        return Decision()
    if is_condition_true(node, "Ready"):
        return Decision((_taint(node, False),)) if _is_tainted(node) else Decision()

    def exists(results: Sequence[Result]) -> Decision:
        if results[0].error is not None:
            return Decision()
        if results[0].value:
            return Decision((Call("instance shutdown", partial(instances.shutdown, node)),), then=off)
        text = f"Deleting node {key[1]} because it does not exist in the cloud provider"
        return Decision((Emit(node, "Normal", "DeletingNode", text), Delete(NODES, *key, uid=uid_of(node))))

    def off(results: Sequence[Result]) -> Decision:
        if results[0].error is not None or not results[0].value or _is_tainted(node):
            return Decision()
        return Decision((_taint(node, True),))

    return Decision((Call("instance exists", partial(instances.exists, node)),), then=exists)


def _is_tainted(node: Obj) -> bool:
    return any(taint.get("key") == SHUTDOWN for taint in dig(node, "spec", "taints", default=()))


def _taint(node: Obj, off: bool) -> Patch:
    taints = [taint for taint in dig(node, "spec", "taints", default=()) if taint.get("key") != SHUTDOWN]
    if off:
        taints.append({"key": SHUTDOWN, "effect": "NoSchedule"})
    metadata = {"uid": uid_of(node), "resourceVersion": str(resource_version_of(node))}
    return Patch(NODES, "", name_of(node), {"metadata": metadata, "spec": {"taints": taints or None}})


def _worth_a_look(snapshot: Snapshot) -> Iterable[Key]:
    for node in snapshot.list(NODES):
        if _is_tainted(node) or not is_condition_true(node, "Ready"):
            yield "", name_of(node)


def spec(instances: Instances) -> ControllerSpec:
    return ControllerSpec(
        name="cloud-node-lifecycle-controller",
        watches=(Watch(NODES),),
        reconcile=partial(_reconcile, instances),
        workers=1,
        every_s=PERIOD_S,
        periodic=_worth_a_look,
        retry_s=(PERIOD_S, 300.0),
    )
