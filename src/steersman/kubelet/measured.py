"""A runtime, or image service, whose calls are counted and timed as upstream's kubelet does (pkg/kubelet/kuberuntime/
instrumented_services.go). What streams (events, exec, attach, port_forward) is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from steersman.kubelet.counts import Counts
from steersman.machinery.clock import Clock

T = TypeVar("T")

_OPERATIONS = {
    "container_stats": "container_stats",
    "container_status": "container_status",
    "create_container": "create_container",
    "exec_sync": "exec_sync",
    "image_fs": "image_fs_info",
    "image_status": "image_status",
    "list_containers": "list_containers",
    "list_images": "list_images",
    "list_pod_sandboxes": "list_podsandbox",
    "pod_sandbox_status": "podsandbox_status",
    "pull_image": "pull_image",
    "remove_container": "remove_container",
    "remove_image": "remove_image",
    "remove_pod_sandbox": "remove_podsandbox",
    "reopen_container_log": "reopen_container_log",
    "run_pod_sandbox": "run_podsandbox",
    "start_container": "start_container",
    "status": "status",
    "stop_container": "stop_container",
    "stop_pod_sandbox": "stop_podsandbox",
    "update_container_resources": "update_container",
    "update_runtime_config": "update_runtime_config",
    "version": "version",
}
"""Method -> operation_type"""


def measured(service: T, counts: Counts, clock: Clock) -> T:
    """The service, counted."""
    return cast(T, _Measured(service, counts, clock))


class _Measured:
    def __init__(self, service: Any, counts: Counts, clock: Clock) -> None:
        self._service, self._counts, self._clock = service, counts, clock

    def __getattr__(self, name: str) -> Any:
        found, operation = getattr(self._service, name), _OPERATIONS.get(name)
        return found if operation is None else _timed(found, operation, self._counts, self._clock)


def _timed(method: Callable[..., Awaitable[T]], operation: str, counts: Counts, clock: Clock) -> Callable[..., Awaitable[T]]:
    async def call(*args: Any, **more: Any) -> T:
        counts.count("kubelet_runtime_operations_total", operation_type=operation)
        begun_s = clock.monotonic()
        try:
            return await method(*args, **more)
        except Exception:
            counts.count("kubelet_runtime_operations_errors_total", operation_type=operation)
            raise
        finally:
            took_s = clock.monotonic() - begun_s
            counts.observe("kubelet_runtime_operations_duration_seconds", took_s, operation_type=operation)

    return call
