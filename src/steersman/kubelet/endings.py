"""How often containers of a pod have ended, and how: each end counts once, of those that this kubelet has seen alive or begin."""

from __future__ import annotations

from steersman.cri.messages import ContainerState
from steersman.kubelet import pods
from steersman.kubelet.counts import Counts
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj


class Endings:
    """One pod's."""

    def __init__(self) -> None:
        self._known: set[str] | None = None

    def note(self, pod: Obj, view: PodView, counts: Counts) -> None:
        """What had ended before the first look did so under an earlier kubelet."""
        ended = [item for item in view.containers if item.state is ContainerState.EXITED]
        if self._known is not None:
            for item in ended:
                if item.id not in self._known:
                    labels = {"exit_code": str(item.exit_code), "reason": item.reason}
                    counts.count("kubelet_terminated_containers_total", container_type=_kind(pod, item.name), **labels)
        self._known = {item.id for item in ended}


def _kind(pod: Obj, name: str) -> str:
    if any(spec["name"] == name for spec in pods.init_containers(pod)):
        return "init_container"
    return "ephemeral_container" if any(spec["name"] == name for spec in pods.ephemeral_containers(pod)) else "container"
