"""Fields of KubeletConfiguration with their types and defaults. Data; upstream: staging/src/k8s.io/kubelet/config/v1beta1.

What is not here: fields' meaning (effective.py) and limits (validation.py).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from steersman.machinery.meta import Obj

API_VERSION, KIND = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"


@dataclass(frozen=True, slots=True)
class Field:
    """type: as Go calls it in messages; "duration" and "struct" besides. default None: absent unless it is given."""

    type: str
    default: Any = None
    fields: Mapping[str, Field] | None = None
    """Of a struct, or of the structs in a list."""


def _struct(**fields: Field) -> Field:
    return Field("struct", None, fields)


def _structs(**fields: Field) -> Field:
    return Field("[]struct", None, fields)


def _duration(default: str | None = None) -> Field:
    return Field("duration", default)


def _bool(default: bool | None = None) -> Field:
    return Field("bool", default)


def _int(default: int | None = None, type: str = "int32") -> Field:
    return Field(type, default)


def _text(default: str | None = None) -> Field:
    return Field("string", default)


_TEXTS, _MAP = Field("[]string"), Field("map[string]string")

SERVING: Mapping[str, Field] = {
    "enableServer": _bool(True),
    "address": _text("0.0.0.0"),
    "port": _int(10250),
    "readOnlyPort": _int(),
    "tlsCertFile": _text(),
    "tlsPrivateKeyFile": _text(),
    "tlsCipherSuites": _TEXTS,
    "tlsMinVersion": _text(),
    "tlsCurvePreferences": Field("[]int32"),
    "rotateCertificates": _bool(),
    "serverTLSBootstrap": _bool(),
    "authentication": _struct(
        x509=_struct(clientCAFile=_text()),
        webhook=_struct(enabled=_bool(True), cacheTTL=_duration("2m0s")),
        anonymous=_struct(enabled=_bool(False)),
    ),
    "authorization": _struct(
        mode=_text("Webhook"),
        webhook=_struct(cacheAuthorizedTTL=_duration("5m0s"), cacheUnauthorizedTTL=_duration("30s")),
    ),
    "enableDebuggingHandlers": _bool(True),
    "enableContentionProfiling": _bool(),
    "enableProfilingHandler": _bool(True),
    "enableDebugFlagsHandler": _bool(True),
    "enableSystemLogHandler": _bool(True),
    "enableSystemLogQuery": _bool(False),
    "healthzPort": _int(10248),
    "healthzBindAddress": _text("127.0.0.1"),
    "streamingConnectionIdleTimeout": _duration("4h0m0s"),
    "showHiddenMetricsForVersion": _text(),
    "logging": _struct(
        format=_text("text"),
        flushFrequency=Field("duration or nanoseconds", "5s"),
        verbosity=Field("uint32", 0),
        vmodule=_structs(filePattern=_text(), verbosity=Field("uint32")),
        options=_struct(
            text=_struct(splitStream=_bool(), infoBufferSize=Field("quantity", "0")),
            json=_struct(splitStream=_bool(), infoBufferSize=Field("quantity", "0")),
        ),
    ),
    "tracing": _struct(endpoint=_text(), samplingRatePerMillion=_int()),
}
"""The kubelet's own server, its clients, what it tells of itself."""

NODE: Mapping[str, Field] = {
    "clusterDomain": _text(),
    "clusterDNS": _TEXTS,
    "nodeStatusUpdateFrequency": _duration("10s"),
    "nodeStatusReportFrequency": _duration("5m0s"),
    "nodeLeaseDurationSeconds": _int(40),
    "nodeStatusMaxImages": _int(50),
    "registerNode": _bool(True),
    "registerWithTaints": _structs(key=_text(), value=_text(), effect=_text(), timeAdded=_text()),
    "providerID": _text(),
    "podCIDR": _text(),
    "maxPods": _int(110),
    "podsPerCore": _int(),
    "kubeAPIQPS": _int(50),
    "kubeAPIBurst": _int(100),
    "contentType": _text("application/vnd.kubernetes.protobuf"),
    "eventRecordQPS": _int(50),
    "eventBurst": _int(100),
    "enableControllerAttachDetach": _bool(True),
    "shutdownGracePeriod": _duration("0s"),
    "shutdownGracePeriodCriticalPods": _duration("0s"),
    "shutdownGracePeriodByPodPriority": _structs(priority=_int(), shutdownGracePeriodSeconds=_int(type="int64")),
    "featureGates": Field("map[string]bool"),
}
"""The Node, the API server, the cluster."""

RESOURCES: Mapping[str, Field] = {
    "kubeletCgroups": _text(),
    "systemCgroups": _text(),
    "cgroupRoot": _text(),
    "cgroupsPerQOS": _bool(True),
    "cgroupDriver": _text("cgroupfs"),
    "failCgroupV1": _bool(),
    "cpuManagerPolicy": _text("none"),
    "cpuManagerPolicyOptions": _MAP,
    "cpuManagerReconcilePeriod": _duration("10s"),
    "memoryManagerPolicy": _text("None"),
    "topologyManagerPolicy": _text("none"),
    "topologyManagerScope": _text("container"),
    "topologyManagerPolicyOptions": _MAP,
    "qosReserved": _MAP,
    "cpuCFSQuota": _bool(True),
    "cpuCFSQuotaPeriod": _duration("100ms"),
    "singleProcessOOMKill": _bool(),
    "oomScoreAdj": _int(-999),
    "maxOpenFiles": _int(1000000, "int64"),
    "podPidsLimit": _int(-1, "int64"),
    "failSwapOn": _bool(True),
    "memorySwap": _struct(swapBehavior=_text()),
    "memoryThrottlingFactor": Field("float64", 0.9),
    "memoryReservationPolicy": _text("None"),
    "protectKernelDefaults": _bool(),
    "kernelMemcgNotification": _bool(),
    "systemReserved": _MAP,
    "kubeReserved": _MAP,
    "reservedSystemCPUs": _text(),
    "systemReservedCgroup": _text(),
    "kubeReservedCgroup": _text(),
    "enforceNodeAllocatable": Field("[]string", ["pods"]),
    "reservedMemory": _structs(numaNode=_int(), limits=_MAP),
    "localStorageCapacityIsolation": _bool(True),
    "evictionHard": _MAP,
    "evictionSoft": _MAP,
    "evictionSoftGracePeriod": _MAP,
    "evictionPressureTransitionPeriod": _duration("5m0s"),
    "evictionMaxPodGracePeriod": _int(),
    "evictionMinimumReclaim": _MAP,
    "mergeDefaultEvictionSettings": _bool(False),
}
"""What pods may use, and what happens when there is too little."""

PODS: Mapping[str, Field] = {
    "staticPodPath": _text(),
    "staticPodURL": _text(),
    "staticPodURLHeader": Field("map[string][]string"),
    "podLogsDir": _text("/var/log/pods"),
    "syncFrequency": _duration("1m0s"),
    "fileCheckFrequency": _duration("20s"),
    "httpCheckFrequency": _duration("20s"),
    "volumeStatsAggPeriod": _duration("1m0s"),
    "volumePluginDir": _text("/usr/libexec/kubernetes/kubelet-plugins/volume/exec/"),
    "containerRuntimeEndpoint": _text(),
    "imageServiceEndpoint": _text(),
    "runtimeRequestTimeout": _duration("2m0s"),
    "hairpinMode": _text("promiscuous-bridge"),
    "makeIPTablesUtilChains": _bool(True),
    "iptablesMasqueradeBit": _int(14),
    "iptablesDropBit": _int(15),
    "resolvConf": _text("/etc/resolv.conf"),
    "runOnce": _bool(),
    "registryPullQPS": _int(5),
    "registryBurst": _int(10),
    "serializeImagePulls": _bool(True),
    "maxParallelImagePulls": _int(),
    "imagePullCredentialsVerificationPolicy": _text("NeverVerifyPreloadedImages"),
    "preloadedImagesVerificationAllowlist": _TEXTS,
    "imageMinimumGCAge": _duration("2m0s"),
    "imageMaximumGCAge": _duration("0s"),
    "imageGCHighThresholdPercent": _int(85),
    "imageGCLowThresholdPercent": _int(80),
    "containerLogMaxSize": _text("10Mi"),
    "containerLogMaxFiles": _int(5),
    "containerLogMaxWorkers": _int(1),
    "containerLogMonitorInterval": _duration("10s"),
    "configMapAndSecretChangeDetectionStrategy": _text("Watch"),
    "allowedUnsafeSysctls": _TEXTS,
    "seccompDefault": _bool(False),
    "crashLoopBackOff": _struct(maxContainerRestartPeriod=_duration()),
    "userNamespaces": _struct(idsPerPod=_int(65536, "int64")),
}
"""How pods are found and run."""

FIELDS: Mapping[str, Field] = {**PODS, **SERVING, **NODE, **RESOURCES}

PATHS = (
    ("staticPodPath",), ("tlsCertFile",), ("tlsPrivateKeyFile",), ("resolvConf",), ("authentication", "x509", "clientCAFile"),
)  # fmt: skip
"""Paths that may be relative to the file they stand in."""

HARD_EVICTION: Mapping[str, str] = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
"""In force when evictionHard says nothing."""


_ZERO_IS_UNSET = frozenset(
    (
        "port",
        "maxPods",
        "nodeLeaseDurationSeconds",
        "registryBurst",
        "eventBurst",
        "kubeAPIBurst",
        "maxOpenFiles",
        "flushFrequency",
    )
)
"""Numbers for which Go cannot tell zero from absent; for the others zero is a value."""


def _is_unset(name: str, value: Any) -> bool:
    # An empty resolvConf is a word of its own: no such file.
    return value == "0s" or (value == "" and name != "resolvConf") or (value == 0 and name in _ZERO_IS_UNSET)


def with_defaults(given: Obj) -> Obj:
    """A complete configuration. Absent, null and empty are one, as in Go."""
    made = _filled(given, FIELDS)
    hard = given.get("evictionHard")
    if not hard:
        made["evictionHard"] = dict(HARD_EVICTION)
    elif given.get("mergeDefaultEvictionSettings"):
        made["evictionHard"] = {**HARD_EVICTION, **hard}
    if given.get("kubeAPIBurst") is None and given.get("kubeAPIQPS") is not None:
        made["kubeAPIBurst"] = max(100, given["kubeAPIQPS"])
    return {"kind": KIND, "apiVersion": API_VERSION, **made}


def _filled(given: Obj, fields: Mapping[str, Field]) -> Obj:
    made: Obj = {}
    for name, field in fields.items():
        value = given.get(name)
        if field.type == "struct":
            inner = _filled(value or {}, field.fields or {})
            if inner:
                made[name] = inner
        elif value is not None and not (field.default and _is_unset(name, value)):
            made[name] = copy.deepcopy(value)
        elif field.default is not None:
            made[name] = copy.deepcopy(field.default)
    return made
