"""Carries out an accepted resize on what runs: the pod's cgroup is widened first and narrowed last, containers are between.

Containers that must be restarted for it are left to decide.py. Source: upstream kuberuntime_manager.go, doPodResizeAction.
"""

from __future__ import annotations

from dataclasses import replace

from steersman.cri.interface import Runtime, RuntimeFault
from steersman.cri.messages import Container, Resources
from steersman.kubelet import pods, resources
from steersman.kubelet.cgroups import NO_QUOTA, Cgroups
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.resize.amounts import POD, in_force
from steersman.kubelet.resize.state import PodResize
from steersman.kubelet.view import PodView
from steersman.machinery.meta import Obj


class Actuator:
    """`limits`: those of the pod's cgroup, once known."""

    def __init__(self, config: KubeletConfig, runtime: Runtime, cgroups: Cgroups, resize: PodResize) -> None:
        self._config, self._runtime, self._cgroups, self._resize = config, runtime, cgroups, resize
        self._limits: Resources | None = None
        self._throttled = True

    def make_cgroup(self, pod: Obj, *, throttled: bool = True) -> None:
        """The pod's cgroup, as the pod is allocated. throttled: with a quota of CPU time, unless it has CPUs of its own."""
        self._throttled = throttled
        self._set(pod, resources.limited(resources.pod_resources(pod), self._config))

    def _set(self, pod: Obj, limits: Resources) -> None:
        # No quota is said as such: an earlier life of this kubelet may have set one.
        told = replace(limits, cpu_quota=limits.cpu_quota if limits.cpu_quota and self._throttled else NO_QUOTA)
        self._cgroups.apply(resources.cgroup_parent(pod, self._config.cgroup_root), told)
        self._limits = limits

    async def run(self, pod: Obj, view: PodView) -> None:
        """Bring all running containers to what the pod is allocated, as far as none must be restarted.

        Raises RuntimeFault, after what went well was noted.
        """
        resize = self._resize
        unsettled = resize.unsettled(view)
        final = resources.limited(resources.pod_resources(pod), self._config)
        if not unsettled and final == self._limits:
            resize.settled(pod)
            return
        restarts = resize.restarts(pod, view)
        heirs = resources.heirs(pod) if POD in unsettled else frozenset()
        changing = [item for item in view.running if item.name in heirs.union(unsettled) and item.name not in restarts]
        before = self._limits or final
        await self._refuse_too_small(pod, changing)
        self._set(pod, _wider(before, final))
        for container in sorted(changing, key=lambda item: self._growth(pod, item.name)):
            spec = pods.find_container(pod, container.name) or {}
            wanted = resources.limited(resources.container_resources(pod, spec, 0), self._config)
            await self._runtime.update_container_resources(container.id, replace(wanted, oom_score_adj=0, pids_limit=0))
            if container.name in unsettled:
                resize.actuate(container.name, (resize.allocated or {}).get(container.name, {}))
        if restarts:
            return
        self._set(pod, final)
        if POD in unsettled:
            resize.actuate(POD, (resize.allocated or {}).get(POD, {}))
        resize.settled(pod)

    def _growth(self, pod: Obj, name: str) -> int:
        """By how much the container's memory limit grows; those that shrink go first."""
        spec = pods.find_container(pod, name) or {}
        old = in_force(spec.get("resources"), self._resize.in_force(name) or {})
        return _memory_limit(spec.get("resources")) - _memory_limit(old)

    async def _refuse_too_small(self, pod: Obj, changing: list[Container]) -> None:
        """A memory limit below what is in use would have the kernel kill for it."""
        problems = []
        for container in changing:
            limit = _memory_limit((pods.find_container(pod, container.name) or {}).get("resources"))
            if limit and self._growth(pod, container.name) < 0:
                usage = (await self._runtime.container_stats(container.id)).memory_usage
                if usage > limit:
                    text = f'attempting to set container "{container.name}" memory limit ({limit}) '
                    problems.append(f"{text}below current usage ({usage})")
        if problems:
            raise RuntimeFault(f"cannot decrease memory limits: {', '.join(problems)}")


def _memory_limit(listed: Obj | None) -> int:
    """0 if there is none."""
    return resources.amounts((listed or {}).get("limits")).get("memory", 0)


def _wider(old: Resources, new: Resources) -> Resources:
    """What has room for both; 0 = no limit."""

    def larger(before: int, after: int) -> int:
        return max(before, after) if before and after else 0

    return replace(
        new,
        cpu_shares=max(old.cpu_shares, new.cpu_shares),
        cpu_quota=larger(old.cpu_quota, new.cpu_quota),
        memory_limit=larger(old.memory_limit, new.memory_limit),
    )
