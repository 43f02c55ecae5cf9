"""DefaultBinder: binds through the pod's `binding` subresource. The uid keeps it from binding a namesake made meanwhile."""

from __future__ import annotations

from steersman.machinery.meta import Obj
from steersman.scheduler.podinfo import PodInfo


class DefaultBinder:
    name = "DefaultBinder"

    def binding(self, pod: PodInfo, node: str) -> Obj:
        namespace, name = pod.key
        return {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
