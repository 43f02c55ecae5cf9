"""What the kubelet's parts share: the services they call and the facts of the node. Filled once by run.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.counts import Counts
from steersman.kubelet.naming import ResolvConf
from steersman.machinery.meta import Obj, resource_version_of


class Recorder(Protocol):
    """Records events: client.events.EventRecorder, or a list in tests."""

    def event(self, about: Obj, type: str, reason: str, message: str, *, field_path: str = "") -> None: ...


@dataclass(slots=True)
class NodeFacts:
    """What the pods' side needs to know of the node. node.py keeps it current."""

    runtime_name: str = "steersman"
    host_ips: tuple[str, ...] = ()
    memory_capacity: int = 0
    capacity: Mapping[str, int] = field(default_factory=dict)
    allocatable: Mapping[str, int] = field(default_factory=dict)
    node: Obj | None = None
    resolv_conf: ResolvConf = field(default_factory=ResolvConf)
    shutting_down: bool = False
    """The machine is about to: nothing new is begun here."""
    pressures: tuple[str, ...] = ()
    """Conditions of the Node that say what it runs short of."""
    volumes_in_use: tuple[str, ...] = ()
    """Attachable volumes that pods here have or want, as Node.status.volumesInUse names them."""
    apparmor: bool = True
    """Whether the machine can confine containers by AppArmor profiles."""
    network_fault: str = ""
    """Why pods can't have a network now, or ''."""
    counts: Counts = field(default_factory=Counts)

    def answered(self, node: Obj) -> None:
        """The Node as a request was answered with it: known from now on, unless the watch was faster with a later one."""
        if self.node is None or resource_version_of(node) >= resource_version_of(self.node):
            self.node = node


ServiceLister = Callable[[], Iterable[Obj] | None]
"""All services, None until they have been read once."""


def field_path(pod: Obj, name: str) -> str:
    """How events point at one container: `spec.containers{web}`."""
    for key in ("containers", "initContainers", "ephemeralContainers"):
        if any(item["name"] == name for item in (pod.get("spec") or {}).get(key) or ()):
            return f"spec.{key}{{{name}}}"
    return ""


def seccomp_dir(config: KubeletConfig) -> str:
    return str(config.root_dir / "seccomp")
