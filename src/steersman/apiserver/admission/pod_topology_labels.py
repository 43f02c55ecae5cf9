"""PodTopologyLabels: a pod shows in which zone and region it runs, by its node's labels (KEP-4742).

Source: upstream plugin/pkg/admission/podtopologylabels. Labels of a binding become the pod's (subresources/binding.py).
"""

from __future__ import annotations

from steersman.api.resources import NODES, PODS
from steersman.apiserver.contracts import AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery.meta import dig, labels_of, metadata

_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels:
    name = "PodTopologyLabels"

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def admit(self, request: AdmissionRequest) -> None:
        obj = request.obj
        if request.resource != PODS or obj is None or request.operation != "CREATE":
            return
        if request.subresource == "":
            name = dig(obj, "spec", "nodeName", default="")
        elif request.subresource == "binding" and dig(obj, "target", "kind", default="Node") == "Node":
            name = dig(obj, "target", "name", default="")
        else:
            return
        node = self._lookup.cached(NODES, "", name) if name else None
        if node is None:
            return
        found = {label: labels_of(node)[label] for label in _LABELS if label in labels_of(node)}
        if found:
            meta = metadata(obj)
            meta["labels"] = {**(meta.get("labels") or {}), **found}
