"""The cloud node controller: what the provider knows of a new node's machine, and its addresses as they change.

A node is new while it has the taint `uninitialized`, which kubelets with --cloud-provider=external register with.
Source: upstream cloud-provider/controllers/node.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from steersman.api.resources import NODES
from steersman.cloud.interface import InstanceMetadata, Instances
from steersman.loop.spec import Call, ControllerSpec, Decision, Emit, Patch, Result, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, dig, is_deleting, name_of, resource_version_of, uid_of

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
REFRESH = timedelta(minutes=5)
_INSTANCE_TYPE = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_ZONE = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGION = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")


class _Nodes:
    """Remembers when each node's addresses were last asked for. Used by one worker."""

    def __init__(self, instances: Instances) -> None:
        self._instances = instances
        self._asked: dict[str, datetime] = {}

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        node = snapshot.get(NODES, *key)
        if node is None or is_deleting(node):
            self._asked.pop(key[1], None)
            return Decision()
        last = self._asked.get(key[1])
        if not is_uninitialized(node) and last is not None and now - last < REFRESH:
            return Decision()

        def answered(results: Sequence[Result]) -> Decision:
            if results[0].error is not None:
                return Decision()
            self._asked[key[1]] = now
            again_s = REFRESH.total_seconds()
            found: InstanceMetadata = results[0].value
            addresses = addresses_for(node, found)
            rest = partial(initialised, found)
            if addresses == dig(node, "status", "addresses", default=[]):
                return rest([Result(results[0].action, obj=node)]) if is_uninitialized(node) else Decision((), None, again_s)
            change = Patch(
                NODES, *key, {"metadata": {"uid": uid_of(node)}, "status": {"addresses": addresses}}, subresource="status"
            )
            return Decision((change,), rest if is_uninitialized(node) else None, again_s)

        def initialised(found: InstanceMetadata, results: Sequence[Result]) -> Decision:
            """The taint goes last: from then on pods come."""
            if results[0].error is not None or results[0].obj is None:
                return Decision()
            synced = Emit(node, "Normal", "Synced", "Node synced successfully")

            def done(written: Sequence[Result]) -> Decision:
                return Decision((synced,) if written[0].error is None else (), None, REFRESH.total_seconds())

            return Decision((Patch(NODES, *key, initial(results[0].obj, found)),), then=done)

        return Decision((Call("instance metadata", partial(self._instances.metadata, node)),), then=answered)


def is_uninitialized(node: Obj) -> bool:
    return any(taint.get("key") == UNINITIALIZED for taint in dig(node, "spec", "taints", default=()))


def addresses_for(node: Obj, found: InstanceMetadata) -> list[Obj]:
    """The provider's addresses, with the host name that only the kubelet knows; the node's own if the provider has none."""
    now: list[Obj] = dig(node, "status", "addresses", default=[])
    if not found.addresses:
        return now
    named = any(item["type"] == "Hostname" for item in found.addresses)
    return [*found.addresses, *(item for item in now if item.get("type") == "Hostname" and not named)]


def initial(node: Obj, found: InstanceMetadata) -> Obj:
    """The patch that makes a new node one of the cloud's. It replaces the taints, so it holds only for this version."""
    labels = dict(found.additional_labels)
    for names, value in ((_INSTANCE_TYPE, found.instance_type), (_ZONE, found.zone), (_REGION, found.region)):
        if value:
            labels.update(dict.fromkeys(names, value))
    metadata: Obj = {"uid": uid_of(node), "resourceVersion": str(resource_version_of(node))}
    if labels:
        metadata["labels"] = labels
    left = [taint for taint in dig(node, "spec", "taints", default=()) if taint.get("key") != UNINITIALIZED]
    change: Obj = {"taints": left or None}
    if found.provider_id and not dig(node, "spec", "providerID"):
        change["providerID"] = found.provider_id
    return {"metadata": metadata, "spec": change}


def spec(instances: Instances) -> ControllerSpec:
    return ControllerSpec(
        name="cloud-node-controller",
        watches=(Watch(NODES, keys=lambda obj: (("", name_of(obj)),)),),
        reconcile=_Nodes(instances).reconcile,
        workers=1,
        retry_s=(1.0, 300.0),
    )
