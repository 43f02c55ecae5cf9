"""get and list of NodeMetrics and PodMetrics: readings joined with the names and labels of nodes and pods."""

from __future__ import annotations

from collections.abc import Iterator

from steersman.api.groups.metrics_v1beta1 import KINDS
from steersman.api.resources import NODE_METRICS, NODES, POD_METRICS, PODS
from steersman.apiserver.computed import answer
from steersman.apiserver.contracts import Call
from steersman.apiserver.handlers.options import list_options
from steersman.apiserver.handlers.select import selection
from steersman.apiserver.http import Response
from steersman.apiserver.metricsapi.poller import Poller
from steersman.apiserver.metricsapi.readings import Readings, node_metrics, pod_metrics
from steersman.apiserver.registry import Registry, Served
from steersman.apiserver.watchcache.selection import Selection
from steersman.machinery.clock import Clock
from steersman.machinery.errors import MethodNotAllowed, NotFound
from steersman.machinery.meta import Obj, format_time, labels_of, name_of, namespace_of


class MetricsAPI:
    """Registers itself with `install`."""

    def __init__(self, registry: Registry, poller: Poller, clock: Clock) -> None:
        self._registry, self._poller, self._clock = registry, poller, clock
        self._sources = {POD_METRICS.plural: (PODS, self._of_pod), NODE_METRICS.plural: (NODES, self._of_node)}

    def install(self) -> None:
        for spec in KINDS:
            self._registry.install(spec)
            self._registry.handle(spec.resource.group, spec.resource.plural, "", "GET", self.serve)

    async def serve(self, call: Call) -> Response:
        info = call.info
        served = self._registry.lookup(info.group, info.version, info.plural)
        assert served is not None
        if info.verb == "list":
            return await self._list(call, served)
        if info.verb != "get":
            raise MethodNotAllowed
        readings = await self._poller.wanted()
        chosen = Selection(info.namespace, info.name)
        found = next(self._items(served, chosen, readings), None)
        if found is None:
            shown = f"{info.namespace}/{info.name}" if info.namespace else info.name
            raise NotFound.of(info.group, served.resource.kind.lower(), shown)
        return answer(call.request, served, [found], self._clock.now(), single=True)

    async def _list(self, call: Call, served: Served) -> Response:
        chosen = selection(call, served, list_options(call.request))
        readings = await self._poller.wanted()
        return answer(call.request, served, list(self._items(served, chosen, readings)), self._clock.now())

    def _items(self, served: Served, chosen: Selection, readings: Readings) -> Iterator[Obj]:
        """Of what is there and has readings."""
        source, metrics = self._sources[served.resource.plural]
        namespace = chosen.namespace or None
        if chosen.name and (namespace or not source.namespaced):
            one = self._registry.lister(source).get(chosen.namespace, chosen.name)
            candidates = [one] if one is not None else []
        else:
            candidates = self._registry.lister(source).list(namespace)
        created = format_time(self._clock.now())
        for obj in candidates:
            if _matches(chosen, obj) and (found := metrics(readings, obj)) is not None:
                metadata: Obj = {"name": name_of(obj), "creationTimestamp": created}
                if source.namespaced:
                    metadata["namespace"] = namespace_of(obj)
                if labels_of(obj):
                    metadata["labels"] = labels_of(obj)
                yield {"metadata": metadata, **found}

    def _of_node(self, readings: Readings, node: Obj) -> Obj | None:
        found = readings.node(name_of(node))
        return node_metrics(found) if found is not None else None

    def _of_pod(self, readings: Readings, pod: Obj) -> Obj | None:
        found = readings.pod(namespace_of(pod), name_of(pod))
        return pod_metrics(found) if found else None


def _matches(chosen: Selection, obj: Obj) -> bool:
    if chosen.name and name_of(obj) != chosen.name:
        return False
    fields = {"metadata.name": name_of(obj), "metadata.namespace": namespace_of(obj)}
    if chosen.fields is not None and not chosen.fields.matches(fields):
        return False
    return chosen.labels is None or chosen.labels.matches(labels_of(obj))
