"""What the kubelet counts and times of its own work, under upstream's names; server/metrics.py shows it.

Source: upstream pkg/kubelet/metrics.
"""

from __future__ import annotations

from collections import Counter

from steersman.machinery.counting import Histogram

Labels = tuple[tuple[str, str], ...]

_USUAL = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STARTUP = tuple(map(float, (
    0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600,
)))  # fmt: skip
_OPERATIONS = tuple(round(0.005 * 2.5**step, 6) for step in range(14))

FAMILIES = {
    "kubelet_evictions": ("counter", "Cumulative number of pod evictions by eviction signal"),
    "kubelet_image_garbage_collected_total": (
        "counter", "Total number of images garbage collected by the kubelet, whether through disk usage or image age.",
    ),
    "kubelet_image_pull_duration_seconds": ("histogram", "Duration in seconds to pull an image."),
    "kubelet_pleg_relist_duration_seconds": ("histogram", "Duration in seconds for relisting pods in PLEG."),
    "kubelet_pleg_relist_interval_seconds": ("histogram", "Interval in seconds between relisting in PLEG."),
    "kubelet_pod_start_duration_seconds": (
        "histogram", "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
    ),
    "kubelet_pod_worker_duration_seconds": (
        "histogram", "Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync",
    ),
    "kubelet_runtime_operations_duration_seconds": (
        "histogram", "Duration in seconds of runtime operations. Broken down by operation type.",
    ),
    "kubelet_runtime_operations_errors_total": ("counter", "Cumulative number of runtime operation errors by operation type."),
    "kubelet_runtime_operations_total": ("counter", "Cumulative number of runtime operations by operation type."),
    "kubelet_started_containers_errors_total": ("counter", "Cumulative number of errors when starting containers"),
    "kubelet_started_containers_total": ("counter", "Cumulative number of containers started"),
    "kubelet_started_pods_errors_total": ("counter", "Cumulative number of errors when starting pods"),
    "kubelet_started_pods_total": ("counter", "Cumulative number of pods started"),
    "kubelet_started_user_namespaced_pods_errors_total": (
        "counter", "Cumulative number of errors when starting pods with user namespaces.",
    ),
    "kubelet_started_user_namespaced_pods_total": ("counter", "Cumulative number of pods with user namespaces started."),
    "kubelet_terminated_containers_total": ("counter", "Cumulative number of containers that have ended, by exit code"),
}  # fmt: skip
"""name -> (type, help)"""

_BOUNDS = {
    "kubelet_image_pull_duration_seconds": (1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0),
    "kubelet_pod_start_duration_seconds": _STARTUP,
    "kubelet_runtime_operations_duration_seconds": _OPERATIONS,
}
_SIZES = {
    10: "0-10MB", 100: "10MB-100MB", 500: "100MB-500MB", 1000: "500MB-1GB", 10_000: "1GB-10GB", 100_000: "10GB-100GB",
}  # fmt: skip


class Counts:
    """One kubelet's."""

    def __init__(self) -> None:
        self.numbers: Counter[tuple[str, Labels]] = Counter()
        self.histograms: dict[tuple[str, Labels], Histogram] = {}

    def count(self, name: str, **labels: str) -> None:
        self.numbers[name, tuple(labels.items())] += 1

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        key = name, tuple(labels.items())
        found = self.histograms.get(key)
        if found is None:
            found = self.histograms[key] = Histogram(_BOUNDS.get(name, _USUAL))
        found.observe(seconds)


def size_label(size_bytes: int) -> str:
    """Which of upstream's classes an image belongs to."""
    megabytes = size_bytes / (1024 * 1024)
    return next((label for limit, label in _SIZES.items() if megabytes <= limit), "GT100GB")
