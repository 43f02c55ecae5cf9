"""Which pods are promised a place on which node (status.nominatedNodeName): others of lower priority keep it free. Pure.

Source: upstream backend/queue/nominator.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from steersman.scheduler.podinfo import PodInfo


class Nominations:
    """One node per pod."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, PodInfo]] = {}
        self._node_of: dict[str, str] = {}

    def set(self, pod: PodInfo, node: str) -> None:
        self.remove(pod.uid)
        self._node_of[pod.uid] = node
        self._nodes.setdefault(node, {})[pod.uid] = pod

    def remove(self, uid: str) -> bool:
        """True if there was one."""
        node = self._node_of.pop(uid, None)
        if node is None:
            return False
        pods = self._nodes[node]
        del pods[uid]
        if not pods:
            del self._nodes[node]
        return True

    def node_of(self, uid: str) -> str:
        """Empty if it has none."""
        return self._node_of.get(uid, "")

    def ahead_of(self, pod: PodInfo) -> Iterator[tuple[str, list[PodInfo]]]:
        """Nodes with pods that the given one must leave room for: those of equal or higher priority."""
        for node in self._nodes:
            if found := self.ahead_on(node, pod):
                yield node, found

    def ahead_on(self, node: str, pod: PodInfo) -> list[PodInfo]:
        found = self._nodes.get(node, {}).values()
        return [other for other in found if other.priority >= pod.priority and other.uid != pod.uid]

    def below(self, node: str, priority: int) -> list[PodInfo]:
        """Those on the node with a lower priority."""
        return [pod for pod in self._nodes.get(node, {}).values() if pod.priority < priority]
