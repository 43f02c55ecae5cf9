"""The ttl controller: tells kubelets, by an annotation of their Nodes, how long they may keep Secrets and ConfigMaps before they
ask again. The larger the cluster, the longer.

A step up or down takes hold of a node when it is next seen to change. Source: upstream pkg/controller/ttl.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from steersman.api.resources import NODES
from steersman.loop.spec import ControllerSpec, Decision, Patch, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, annotations_of, is_deleting, key_of, name_of

ANNOTATION = "node.alpha.kubernetes.io/ttl"


class _Step(NamedTuple):
    """Holds from `least` to `most` nodes. Steps overlap, so that a node that comes and goes changes nothing."""

    least: int
    most: float
    ttl_s: int


_STEPS = (
    _Step(0, 100, 0),
    _Step(90, 500, 15),
    _Step(450, 1000, 30),
    _Step(900, 2000, 60),
    _Step(1800, float("inf"), 300),
)


class _Size:
    """The nodes there are, and the step they put the cluster on."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._step = 0

    @property
    def wanted(self) -> str:
        """The annotation's value."""
        while len(self._names) > _STEPS[self._step].most:
            self._step += 1
        while len(self._names) < _STEPS[self._step].least:
            self._step -= 1
        return str(_STEPS[self._step].ttl_s)

    def keys(self, node: Obj, snapshot: Snapshot) -> Iterable[Key]:
        """Counts the node; queues it if its annotation is another."""
        name = name_of(node)
        if snapshot.get(NODES, "", name) is None:
            self._names.discard(name)
            return ()
        self._names.add(name)
        return () if annotations_of(node).get(ANNOTATION) == self.wanted else (key_of(node),)

    def reconcile(self, snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        node = snapshot.get(NODES, *key)
        if node is None or is_deleting(node) or annotations_of(node).get(ANNOTATION) == self.wanted:
            return Decision()
        return Decision((Patch(NODES, *key, {"metadata": {"annotations": {ANNOTATION: self.wanted}}}, "strategic"),))


def spec() -> ControllerSpec:
    size = _Size()
    return ControllerSpec(name="ttl-controller", watches=(Watch(NODES, keys_with=size.keys),), reconcile=size.reconcile)
