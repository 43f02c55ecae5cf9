"""The revisions of a workload: ReplicaSets of a Deployment, ControllerRevisions of a DaemonSet or StatefulSet."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from steersman.cli.kubectl.context import Context
from steersman.cli.kubectl.describe.templates import write_template
from steersman.cli.kubectl.describe.writer import Writer as DescribeWriter
from steersman.cli.kubectl.resources import Info
from steersman.machinery import labels
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, annotations_of, controller_of, dig, uid_of

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
POD_TEMPLATE_HASH = "pod-template-hash"
_REPLICA_SETS = Resource("apps", "v1", "replicasets", True, "ReplicaSet")
_CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions", True, "ControllerRevision")


@dataclass(frozen=True, slots=True)
class Revision:
    """`holder`: the object that keeps it. `whole`: the workload as it was then; for Deployments the ReplicaSet itself."""

    number: int
    cause: str
    template: Obj
    holder: Obj
    whole: Obj


async def revisions(ctx: Context, info: Info) -> dict[int, Revision]:
    """By number, ascending."""
    workload = info.object
    is_deployment = info.resource.kind == "Deployment"
    resource = _REPLICA_SETS if is_deployment else _CONTROLLER_REVISIONS
    selector = str(labels.from_label_selector(dig(workload, "spec", "selector")))
    listed = await ctx.client.list(resource, info.namespace, label_selector=selector)
    owned = [item for item in listed["items"] if (controller_of(item) or {}).get("uid") == uid_of(workload)]
    made = [_of_replica_set(item) if is_deployment else _of_controller_revision(item, workload) for item in owned]
    return {item.number: item for item in sorted(made, key=lambda item: item.number) if item.number}


def described(template: Obj, cause: str = "") -> str:
    """A pod template in the words of `describe`."""
    if cause:
        template = deepcopy(template)
        template.setdefault("metadata", {}).setdefault("annotations", {})[CHANGE_CAUSE] = cause
    w = DescribeWriter()
    write_template(w, template)
    return w.unaligned()


def _of_replica_set(obj: Obj) -> Revision:
    held = annotations_of(obj)
    number = held.get(REVISION, "0")
    template = dig(obj, "spec", "template", default={})
    return Revision(int(number) if number.isdigit() else 0, held.get(CHANGE_CAUSE, ""), template, obj, obj)


def _of_controller_revision(obj: Obj, workload: Obj) -> Revision:
    template = deepcopy(dig(obj, "data", "spec", "template", default={}))
    template.pop("$patch", None)
    whole = {**workload, "spec": {**workload["spec"], "template": template}}
    return Revision(int(obj.get("revision") or 0), annotations_of(obj).get(CHANGE_CAUSE, ""), template, obj, whole)
