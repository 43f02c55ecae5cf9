"""The kubelet's metrics pages: its own, `resource`, `cadvisor`, `probes`.

Source: upstream pkg/kubelet/metrics, metrics/collectors/resource_metrics.go, prober/prober_manager.go, cAdvisor's
docs/storage/prometheus.md. Of cAdvisor's metrics those that the runtime's readings have.
"""

from __future__ import annotations

import os
import platform
import resource as limits
from collections.abc import Iterable
from datetime import datetime
from operator import itemgetter

from steersman.cri.messages import Container, Usage
from steersman.kubelet import pods
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.counts import FAMILIES, Counts
from steersman.kubelet.nodeinfo import KUBELET_VERSION
from steersman.kubelet.probes.manager import ProbeManager
from steersman.kubelet.resources import CPU_PERIOD, amounts, cpu_quota, cpu_shares
from steersman.kubelet.server import host
from steersman.kubelet.server.exposition import Exposition
from steersman.kubelet.server.stats import Stats, pod_traffic
from steersman.kubelet.worker import PodWorker, State
from steersman.machinery.clock import Clock
from steersman.machinery.meta import dig, name_of, namespace_of

_CPU, _MEMORY = "Cumulative cpu time consumed by the %s in core-seconds", "Current working set of the %s in bytes"
_RESOURCE = {
    "container_cpu_usage_seconds_total": ("counter", _CPU % "container"),
    "container_memory_working_set_bytes": ("gauge", _MEMORY % "container"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "node_cpu_usage_seconds_total": ("counter", _CPU % "node"),
    "node_memory_working_set_bytes": ("gauge", _MEMORY % "node"),
    "node_swap_usage_bytes": ("gauge", "Current swap usage of the node in bytes. Reported only on non-windows systems"),
    "pod_cpu_usage_seconds_total": ("counter", _CPU % "pod"),
    "pod_memory_working_set_bytes": ("gauge", _MEMORY % "pod"),
    "resource_scrape_error": ("gauge", "1 if there was an error while getting container metrics, 0 otherwise"),
}
_CADVISOR = {
    "cadvisor_version_info": ("gauge", "A metric with a constant '1' value labeled by kernel version, OS version."),
    "container_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed in seconds."),
    "container_fs_inodes_total": ("gauge", "Number of Inodes"),
    "container_fs_usage_bytes": ("gauge", "Number of bytes that are consumed by the container on this filesystem."),
    "container_last_seen": ("gauge", "Last time a container was seen by the exporter"),
    "container_memory_failures_total": ("counter", "Cumulative count of memory allocation failures."),
    "container_memory_rss": ("gauge", "Size of RSS in bytes."),
    "container_memory_usage_bytes": ("gauge", "Current memory usage in bytes, whenever it was accessed."),
    "container_memory_working_set_bytes": ("gauge", "Current working set in bytes."),
    "container_network_receive_bytes_total": ("counter", "Cumulative count of bytes received"),
    "container_network_receive_errors_total": ("counter", "Cumulative count of errors encountered while receiving"),
    "container_network_transmit_bytes_total": ("counter", "Cumulative count of bytes transmitted"),
    "container_network_transmit_errors_total": ("counter", "Cumulative count of errors encountered while transmitting"),
    "container_processes": ("gauge", "Number of processes running inside the container."),
    "container_spec_cpu_period": ("gauge", "CPU period of the container."),
    "container_spec_cpu_quota": ("gauge", "CPU quota of the container."),
    "container_spec_cpu_shares": ("gauge", "CPU share of the container."),
    "container_spec_memory_limit_bytes": ("gauge", "Memory limit for the container."),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds."),
    "machine_cpu_cores": ("gauge", "Number of logical CPU cores."),
    "machine_memory_bytes": ("gauge", "Amount of memory installed on the machine."),
}  # fmt: skip
_PROBES = {
    "prober_probe_total": ("counter", "Cumulative number of a liveness, readiness or startup probe for a container by result."),
}
_OWN = {
    **FAMILIES,
    "kubelet_active_pods": ("gauge", "The number of pods the kubelet considers active."),
    "kubelet_desired_pods": ("gauge", "The number of pods the kubelet is being instructed to run."),
    "kubelet_mirror_pods": ("gauge", "The number of mirror pods the kubelet will try to create (one per admitted static pod)"),
    "kubelet_node_name": ("gauge", "The node's name. The count is always 1."),
    "kubelet_running_containers": ("gauge", "Number of containers currently running"),
    "kubelet_running_pods": ("gauge", "Number of pods that have a running pod sandbox"),
    "kubelet_working_pods": ("gauge", "Number of pods the kubelet is actually running, broken down by lifecycle phase."),
    "kubernetes_build_info": ("gauge", "A metric with a constant '1' value labeled by major, minor and version."),
    "process_cpu_seconds_total": ("counter", "Total user and system CPU time spent in seconds."),
    "process_max_fds": ("gauge", "Maximum number of open file descriptors."),
    "process_resident_memory_bytes": ("gauge", "Resident memory size in bytes."),
}  # fmt: skip
_VOLUME = {
    "available_bytes": ("availableBytes", "Number of available bytes in the volume"),
    "capacity_bytes": ("capacityBytes", "Capacity in bytes of the volume"),
    "inodes": ("inodes", "Maximum number of inodes in the volume"),
    "inodes_free": ("inodesFree", "Number of free inodes in the volume"),
    "inodes_used": ("inodesUsed", "Number of used inodes in the volume"),
    "used_bytes": ("usedBytes", "Number of used bytes in the volume"),
}
"""Of kubelet_volume_stats_: what is shown, and of what."""
_OWN |= {f"kubelet_volume_stats_{name}": ("gauge", words) for name, (_, words) in _VOLUME.items()}
PAGES = {"/metrics": _OWN, "/metrics/cadvisor": _CADVISOR, "/metrics/probes": _PROBES, "/metrics/resource": _RESOURCE}
"""What there is at which path: name -> (type, help)."""
_WORKING = {State.SYNC: "sync", State.TERMINATING: "terminating", State.TERMINATED: "terminated"}


class MetricsPages:
    """Each method is one page's text."""

    def __init__(self, config: KubeletConfig, clock: Clock, stats: Stats, probes: ProbeManager, counts: Counts) -> None:
        self._config, self._clock, self._stats, self._probes, self._counts = config, clock, stats, probes, counts

    async def resource(self, workers: Iterable[PodWorker]) -> str:
        page, at = Exposition(_RESOURCE, always=True), _milliseconds(self._clock.now())
        total, available = host.memory()
        swap, free = host.swap()
        page.add("node_cpu_usage_seconds_total", host.cpu_nanoseconds() / 1e9, at_ms=at)
        page.add("node_memory_working_set_bytes", total - available, at_ms=at)
        page.add("node_swap_usage_bytes", swap - free, at_ms=at)
        for worker in workers:
            pod = {"namespace": namespace_of(worker.pod), "pod": name_of(worker.pod)}
            usages = await self._stats.usages(worker)
            for container, usage in usages:
                labels, taken = {"container": container.name, **pod}, _milliseconds(usage.at)
                page.add("container_cpu_usage_seconds_total", usage.cpu_nanoseconds / 1e9, labels, taken)
                page.add("container_memory_working_set_bytes", usage.memory_working_set, labels, taken)
                page.add("container_start_time_seconds", f"{_started(container):.3f}", labels)
            if usages:
                taken = _milliseconds(usages[-1][1].at)
                page.add("pod_cpu_usage_seconds_total", sum(usage.cpu_nanoseconds for _, usage in usages) / 1e9, pod, taken)
                page.add("pod_memory_working_set_bytes", sum(usage.memory_working_set for _, usage in usages), pod, taken)
        page.add("resource_scrape_error", 0)
        return page.text()

    async def cadvisor(self, workers: Iterable[PodWorker]) -> str:
        page = Exposition(_CADVISOR)
        total, available = host.memory()
        page.add("cadvisor_version_info", 1, {"kernelVersion": platform.release()})
        page.add("machine_cpu_cores", os.cpu_count() or 1)
        page.add("machine_memory_bytes", total)
        root = {"container": "", "id": "/", "image": "", "name": "", "namespace": "", "pod": ""}
        page.add("container_cpu_usage_seconds_total", host.cpu_nanoseconds() / 1e9, {**root, "cpu": "total"})
        page.add("container_memory_working_set_bytes", total - available, root)
        page.add("container_memory_usage_bytes", total - available, root)
        for worker in workers:
            usages = await self._stats.usages(worker)
            for container, usage in usages:
                self._container(page, worker, container, usage)
            if usages:
                self._pod(page, worker, [usage for _, usage in usages])
        return page.text()

    def _container(self, page: Exposition, worker: PodWorker, container: Container, usage: Usage) -> None:
        pod = worker.pod
        labels = {
            "container": container.name,
            "id": f"{self._config.cgroup_root}/pod{worker.uid}/{container.id}",
            "image": container.image,
            "name": container.id,
            "namespace": namespace_of(pod),
            "pod": name_of(pod),
        }
        taken = _milliseconds(usage.at)
        _used(page, labels, [usage], taken)
        page.add("container_fs_usage_bytes", usage.rootfs_used_bytes, {**labels, "device": ""}, taken)
        page.add("container_fs_inodes_total", usage.rootfs_inodes_used, {**labels, "device": ""}, taken)
        page.add("container_start_time_seconds", _started(container), labels)
        page.add("container_last_seen", int(usage.at.timestamp()), labels)
        for kind, number in (("pgfault", usage.page_faults), ("pgmajfault", usage.major_page_faults)):
            page.add("container_memory_failures_total", number, {**labels, "failure_type": kind, "scope": "container"}, taken)
        spec = pods.find_container(pod, container.name) or {}
        asked, most = amounts(dig(spec, "resources", "requests")), amounts(dig(spec, "resources", "limits"))
        page.add("container_spec_cpu_shares", cpu_shares(asked.get("cpu", most.get("cpu", 0))), labels)
        page.add("container_spec_memory_limit_bytes", most.get("memory", 0), labels)
        if quota := cpu_quota(most.get("cpu", 0)):
            page.add("container_spec_cpu_period", CPU_PERIOD, labels)
            page.add("container_spec_cpu_quota", quota, labels)

    def _pod(self, page: Exposition, worker: PodWorker, usages: list[Usage]) -> None:
        """The pod as a whole has no container's name; its network is the sandbox's."""
        labels = {
            "container": "",
            "id": f"{self._config.cgroup_root}/pod{worker.uid}",
            "image": "",
            "name": "",
            "namespace": namespace_of(worker.pod),
            "pod": name_of(worker.pod),
        }
        taken = _milliseconds(usages[-1].at)
        _used(page, labels, usages, taken)
        for each in pod_traffic(worker):
            named = {**labels, "interface": each.name}
            page.add("container_network_receive_bytes_total", each.received, named, taken)
            page.add("container_network_receive_errors_total", each.receive_errors, named, taken)
            page.add("container_network_transmit_bytes_total", each.sent, named, taken)
            page.add("container_network_transmit_errors_total", each.send_errors, named, taken)

    def probes(self) -> str:
        page = Exposition(_PROBES)
        for (namespace, pod, uid, container, kind, result), number in sorted(self._probes.counts.items()):
            labels = {
                "container": container, "namespace": namespace, "pod": pod, "pod_uid": uid, "probe_type": kind, "result": result,
            }  # fmt: skip
            page.add("prober_probe_total", number, labels)
        return page.text()

    async def own(self, workers: Iterable[PodWorker]) -> str:
        page, known = Exposition(_OWN), list(workers)
        await self._claims(page, known)
        cpu, memory = host.own()
        page.add("process_cpu_seconds_total", cpu / 1e9)
        page.add("process_resident_memory_bytes", memory)
        page.add("process_max_fds", limits.getrlimit(limits.RLIMIT_NOFILE)[0])
        major, minor = KUBELET_VERSION.lstrip("v").split(".")[:2]
        build = {"git_version": KUBELET_VERSION, "major": major, "minor": minor, "platform": f"linux/{platform.machine()}"}
        page.add("kubernetes_build_info", 1, build)
        page.add("kubelet_node_name", 1, {"node": self._config.node_name})
        static = [worker for worker in known if pods.is_static(worker.pod)]
        page.add("kubelet_mirror_pods", len(static))
        page.add("kubelet_running_pods", sum(worker.view.ready_sandbox is not None for worker in known))
        page.add("kubelet_active_pods", sum(worker.admitted and worker.state is State.SYNC for worker in known))
        for name, some in (("true", static), ("", [worker for worker in known if worker not in static])):
            page.add("kubelet_desired_pods", len(some), {"static": name})
            for state, word in _WORKING.items():
                number = sum(worker.state is state for worker in some)
                if number:
                    page.add("kubelet_working_pods", number, {"config": "desired", "lifecycle": word, "static": name})
        states: dict[str, int] = {}
        for worker in known:
            for container in worker.view.containers:
                word = container.state.value.removeprefix("CONTAINER_").lower()
                states[word] = states.get(word, 0) + 1
        for word, number in states.items():
            page.add("kubelet_running_containers", number, {"container_state": word})
        for (name, labels), number in sorted(self._counts.numbers.items()):
            page.add(name, number, dict(labels))
        for (name, labels), histogram in sorted(self._counts.histograms.items(), key=itemgetter(0)):
            page.add_histogram(name, histogram, dict(labels))
        return page.text()

    async def _claims(self, page: Exposition, workers: list[PodWorker]) -> None:
        for (namespace, claim), found in sorted((await self._stats.volumes.of_claims(workers)).items()):
            labels = {"namespace": namespace, "persistentvolumeclaim": claim}
            for name, (key, _) in _VOLUME.items():
                if key in found:
                    page.add(f"kubelet_volume_stats_{name}", found[key], labels)


def _used(page: Exposition, labels: dict[str, str], usages: list[Usage], taken: int) -> None:
    """What containers and pods have in common."""
    cpu = sum(usage.cpu_nanoseconds for usage in usages) / 1e9
    page.add("container_cpu_usage_seconds_total", cpu, {**labels, "cpu": "total"}, taken)
    page.add("container_memory_usage_bytes", sum(usage.memory_usage for usage in usages), labels, taken)
    page.add("container_memory_working_set_bytes", sum(usage.memory_working_set for usage in usages), labels, taken)
    page.add("container_memory_rss", sum(usage.memory_rss for usage in usages), labels, taken)
    page.add("container_processes", sum(usage.processes for usage in usages), labels, taken)


def _started(container: Container) -> float:
    return (container.started_at or container.created_at).timestamp()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
