"""docs/metrics.md is what the code says."""

from __future__ import annotations

from tools.metrics_page import PAGE, page


def test_the_page_lists_every_metric_there_is() -> None:
    assert PAGE.read_text() == page() + "\n", "run: python -m tools.metrics_page"


def test_the_well_known_ones_are_there() -> None:
    text = page()
    for name in (
        "apiserver_request_total", "apiserver_request_duration_seconds", "apiserver_current_inflight_requests",
        "apiserver_longrunning_requests", "apiserver_response_sizes", "apiserver_flowcontrol_rejected_requests_total",
        "apiserver_watch_events_total", "apiserver_storage_objects", "etcd_request_duration_seconds",
        "authentication_attempts", "apiserver_admission_controller_admission_duration_seconds",
        "rest_client_requests_total", "process_cpu_seconds_total", "workqueue_depth", "scheduler_pending_pods",
        "kubelet_running_pods", "container_cpu_usage_seconds_total", "prober_probe_total",
    ):  # fmt: skip
        assert f"| `{name}` |" in text
