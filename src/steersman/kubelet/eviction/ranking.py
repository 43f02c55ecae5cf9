"""Which pod goes first when the node runs short of something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from steersman.kubelet import pods
from steersman.kubelet.resources import amounts, pod_total
from steersman.machinery.meta import Obj, dig


@dataclass(frozen=True, slots=True)
class Use:
    """What a pod, or one of its containers, uses. `written`: writable layers; `local`: logs and volumes on the node's disk."""

    memory: int = 0
    written: int = 0
    local: int = 0
    written_inodes: int = 0
    local_inodes: int = 0
    processes: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(
            self.memory + other.memory,
            self.written + other.written,
            self.local + other.local,
            self.written_inodes + other.written_inodes,
            self.local_inodes + other.local_inodes,
            self.processes + other.processes,
        )


@dataclass(frozen=True, slots=True)
class PodUse:
    """`volumes`: bytes in volumes by name."""

    pod: Obj
    containers: Mapping[str, Use] = field(default_factory=dict)
    volumes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def total(self) -> Use:
        found = Use()
        for each in self.containers.values():
            found = found + each
        used = list(self.volumes.values())
        return found + Use(local=sum(size for size, _ in used), local_inodes=sum(inodes for _, inodes in used))


def used(use: Use, signal: str, *, dedicated: bool) -> int:
    """How much of what a signal watches. dedicated: images and writable layers have a filesystem of their own."""
    if signal.endswith("emory.available"):
        return use.memory
    if signal == "pid.available":
        return use.processes
    on_images = signal.startswith(("imagefs.", "containerfs."))
    written, local = not dedicated or on_images, not dedicated or not on_images
    if signal.endswith(".inodesFree"):
        return written * use.written_inodes + local * use.local_inodes
    return written * use.written + local * use.local


def requested(pod: Obj, signal: str) -> int:
    """What the pod asked for of it."""
    if signal.endswith("emory.available"):
        return pod_total(pod, "requests").get("memory", 0)
    if signal.endswith("fs.available"):
        return pod_total(pod, "requests").get("ephemeral-storage", 0)
    return 0


def container_requested(spec: Obj, resource: str) -> int:
    return amounts(dig(spec, "resources", "requests", default=None)).get(resource, 0)


def ranked(found: Iterable[PodUse], signal: str, *, dedicated: bool = False) -> list[PodUse]:
    """Who exceeds its requests, then who is less important, then who exceeds them by more. Critical pods are left out."""

    def order(each: PodUse) -> tuple[bool, int, int]:
        usage, asked = used(each.total, signal, dedicated=dedicated), requested(each.pod, signal)
        within = usage <= asked and signal != "pid.available"
        return within, int(dig(each.pod, "spec", "priority", default=0)), asked - usage

    return sorted((each for each in found if not pods.is_critical(each.pod)), key=order)
