"""What a KubeletConfiguration means for this kubelet, and the other way round: what /configz shows of its settings. Pure.

Fields that are accepted without effect, since nothing here corresponds to them, stay in `KubeletConfig.configuration` and show
in /configz; `without_effect` names those of them that somebody set on purpose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.configuration.fields import FIELDS, with_defaults
from steersman.kubelet.cpumanager.cpusets import parse
from steersman.kubelet.pods import CRITICAL_PRIORITY
from steersman.machinery import duration, quantity
from steersman.machinery.meta import Obj, dig


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _path_or_null(text: str) -> Path:
    return Path(text or "/dev/null")


def _same(value: Any) -> Any:
    return value


_PLAIN: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("enableServer", "enable_server", _same),
    ("address", "address", _same),
    ("port", "port", _same),
    ("tlsCertFile", "tls_cert_file", _path),
    ("tlsPrivateKeyFile", "tls_private_key_file", _path),
    ("tlsMinVersion", "tls_min_version", _same),
    ("tlsCipherSuites", "tls_cipher_suites", tuple),
    ("enableDebuggingHandlers", "debugging_handlers", _same),
    ("enableSystemLogHandler", "node_logs_handler", _same),
    ("healthzPort", "healthz_port", _same),
    ("healthzBindAddress", "healthz_bind_address", _same),
    ("clusterDNS", "cluster_dns", tuple),
    ("clusterDomain", "cluster_domain", _same),
    ("resolvConf", "resolv_conf", _path_or_null),
    ("nodeStatusUpdateFrequency", "node_status_update_frequency_s", duration.parse_go),
    ("nodeStatusReportFrequency", "node_status_report_frequency_s", duration.parse_go),
    ("nodeLeaseDurationSeconds", "node_lease_duration_s", _same),
    ("nodeStatusMaxImages", "node_status_max_images", _same),
    ("registerNode", "register_node", _same),
    ("registerWithTaints", "register_with_taints", tuple),
    ("providerID", "provider_id", _same),
    ("maxPods", "max_pods", _same),
    ("podsPerCore", "pods_per_core", _same),
    ("podPidsLimit", "pod_pids_limit", lambda value: max(value, 0)),
    ("cpuCFSQuota", "cpu_quota", _same),
    ("seccompDefault", "seccomp_default", _same),
    ("systemReserved", "system_reserved", dict),
    ("kubeReserved", "kube_reserved", dict),
    ("staticPodPath", "static_pod_path", _path),
    ("staticPodURL", "static_pod_url", _same),
    ("staticPodURLHeader", "static_pod_url_headers", lambda value: {name: tuple(texts) for name, texts in value.items()}),
    ("fileCheckFrequency", "file_check_frequency_s", duration.parse_go),
    ("httpCheckFrequency", "http_check_frequency_s", duration.parse_go),
    ("syncFrequency", "sync_frequency_s", duration.parse_go),
    ("registryPullQPS", "registry_pull_qps", float),
    ("registryBurst", "registry_burst", _same),
    ("containerLogMaxSize", "container_log_max_size", quantity.value),
    ("containerLogMaxFiles", "container_log_max_files", _same),
    ("containerLogMonitorInterval", "container_log_monitor_s", duration.parse_go),
    ("allowedUnsafeSysctls", "allowed_unsafe_sysctls", tuple),
)
"""(field, setting, how the one becomes the other)"""
_ELSEWHERE = frozenset((
    "authentication", "authorization", "failSwapOn", "rotateCertificates", "serverTLSBootstrap", "cgroupRoot", "podLogsDir",
    "evictionHard", "serializeImagePulls", "maxParallelImagePulls", "crashLoopBackOff", "shutdownGracePeriod",
    "shutdownGracePeriodCriticalPods", "shutdownGracePeriodByPodPriority", "containerRuntimeEndpoint", "featureGates",
    "singleProcessOOMKill", "userNamespaces", "cpuManagerPolicy", "cpuManagerPolicyOptions", "cpuManagerReconcilePeriod",
    "reservedSystemCPUs",
))  # fmt: skip
"""Honoured, but not one to one."""
_EVICTION = frozenset((
    "evictionSoft", "evictionSoftGracePeriod", "evictionPressureTransitionPeriod", "evictionMaxPodGracePeriod",
    "evictionMinimumReclaim", "mergeDefaultEvictionSettings", "imageMinimumGCAge", "imageMaximumGCAge",
    "imageGCHighThresholdPercent", "imageGCLowThresholdPercent",
))  # fmt: skip
"""Read from `configuration` by who evicts pods and removes images."""


def apply(config: KubeletConfig, given: Obj) -> KubeletConfig:
    """`config` with what a KubeletConfiguration says, defaults included; what it has no word for stays as it is."""
    body = with_defaults(given)
    changes: dict[str, Any] = {setting: made(body[name]) for name, setting, made in _PLAIN if name in body}
    # Without a default: where files are, and that there are none, is also the caller's to say.
    webhook = dig(body, "authorization", "webhook")
    changes |= {
        "configuration": body,
        "anonymous": dig(body, "authentication", "anonymous", "enabled"),
        "token_webhook": dig(body, "authentication", "webhook", "enabled"),
        "token_ttl_s": duration.parse_go(dig(body, "authentication", "webhook", "cacheTTL")),
        "always_allow": dig(body, "authorization", "mode") == "AlwaysAllow",
        "allowed_ttl_s": duration.parse_go(webhook["cacheAuthorizedTTL"]),
        "denied_ttl_s": duration.parse_go(webhook["cacheUnauthorizedTTL"]),
        "eviction_hard_memory": _share_of_memory(body["evictionHard"].get("memory.available", "0")),
        "max_parallel_image_pulls": 1 if body["serializeImagePulls"] else body.get("maxParallelImagePulls") or 0,
        "shutdown": _shutdown(body),
    }
    if ca := dig(body, "authentication", "x509", "clientCAFile", default=""):
        changes["client_ca_file"] = Path(ca)
    if root := body.get("cgroupRoot"):
        changes["cgroup_root"] = f"{root.rstrip('/')}/kubepods"
    if given.get("podLogsDir"):
        changes["pod_logs_dir"] = Path(given["podLogsDir"])
    if longest := dig(body, "crashLoopBackOff", "maxContainerRestartPeriod", default=""):
        changes["max_crash_loop_backoff_s"] = duration.parse_go(longest)
    if count := len(parse(body.get("reservedSystemCPUs") or "")):
        # They are all that is reserved of the CPUs, whatever else is said.
        changes["system_reserved"] = {**(body.get("systemReserved") or {}), "cpu": str(count)}
        others = {key: value for key, value in (body.get("kubeReserved") or {}).items() if key != "cpu"}
        changes["kube_reserved"] = others
    if not given.get("clusterDNS"):
        changes["cluster_dns"] = ()
    return dataclasses.replace(config, **changes)


def _share_of_memory(text: str) -> str:
    """A threshold in per cent is not taken off what the Node shows as allocatable; upstream does, from its capacity."""
    return "0" if text.endswith("%") else text


def _shutdown(body: Obj) -> tuple[tuple[int, float], ...]:
    """By priority; the simple form is two groups, ordinary and critical pods."""
    listed = body.get("shutdownGracePeriodByPodPriority") or ()
    if listed:
        return tuple(sorted((item["priority"], float(item["shutdownGracePeriodSeconds"])) for item in listed))
    whole_s, critical_s = (duration.parse_go(body[name]) for name in ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods"))
    return ((0, whole_s - critical_s), (CRITICAL_PRIORITY, critical_s)) if whole_s else ()


def without_effect(given: Obj) -> list[str]:
    """Fields that were set to something else than their default, and that nothing here heeds."""
    plain = {name for name, _, _ in _PLAIN}
    usual = with_defaults({})
    return sorted(
        name
        for name, value in given.items()
        if name in FIELDS and name not in plain | _ELSEWHERE | _EVICTION and value not in (None, "", 0, False, [], {}, "0s")
        and value != usual.get(name) and not (isinstance(value, dict) and _only_zeros(value))
    )  # fmt: skip


def _only_zeros(value: Any) -> bool:
    """A struct that says nothing, as kubeadm writes them."""
    if isinstance(value, dict):
        return all(_only_zeros(each) for each in value.values())
    return value in (None, "", 0, "0", "0s", False)


def shown(config: KubeletConfig) -> Obj:
    """The KubeletConfiguration in force, for /configz."""
    body = dict(config.configuration)
    for name, setting, _ in _PLAIN:
        value = getattr(config, setting)
        if value is None or value in ("", (), {}, 0.0) and name not in body:
            body.pop(name, None)
            continue
        body[name] = _written(name, value)
    x509 = {"clientCAFile": str(config.client_ca_file)} if config.client_ca_file is not None else {}
    body["authentication"] = {
        "x509": x509,
        "webhook": {"enabled": config.token_webhook, "cacheTTL": duration.format_go(config.token_ttl_s)},
        "anonymous": {"enabled": config.anonymous},
    }
    body["authorization"] = {
        "mode": "AlwaysAllow" if config.always_allow else "Webhook",
        "webhook": {
            "cacheAuthorizedTTL": duration.format_go(config.allowed_ttl_s),
            "cacheUnauthorizedTTL": duration.format_go(config.denied_ttl_s),
        },
    }
    body["cgroupRoot"] = config.cgroup_root.removesuffix("/kubepods") or "/"
    body["cgroupDriver"] = "cgroupfs"
    body["podLogsDir"] = str(config.pod_logs_dir)
    body["serializeImagePulls"] = config.max_parallel_image_pulls == 1
    if config.max_parallel_image_pulls > 1:
        body["maxParallelImagePulls"] = config.max_parallel_image_pulls
    return body


def _written(name: str, value: Any) -> Any:
    if FIELDS[name].type == "duration":
        return duration.format_go(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    if name == "podPidsLimit":
        return value or -1
    if name == "containerLogMaxSize":
        return str(quantity.Quantity.of(value, quantity.BINARY_SI))
    if name == "staticPodURLHeader":
        return {key: list(texts) for key, texts in value.items()}
    return int(value) if isinstance(value, float) else dict(value) if FIELDS[name].type.startswith("map") else value
