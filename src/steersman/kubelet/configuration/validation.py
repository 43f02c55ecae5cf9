"""Limits of KubeletConfiguration's values, in upstream's words (pkg/kubelet/apis/config/validation). Pure.

`body` is complete: fields.with_defaults has been at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from steersman.kubelet.cpumanager.cpusets import parse
from steersman.machinery import duration, quantity
from steersman.machinery.meta import Obj, dig

SIGNALS = (
    "memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "pid.available",
)  # fmt: skip
_ENFORCEABLE = ("none", "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible")
_CHOICES = (
    ("hairpinMode", "--hairpin-mode", ("none", "hairpin-veth", "promiscuous-bridge")),
    ("topologyManagerPolicy", "--topology-manager-policy", ("none", "restricted", "best-effort", "single-numa-node")),
    ("topologyManagerScope", "--topology-manager-scope", ("container", "pod")),
)
CPU_OPTIONS = ("full-pcpus-only", "strict-cpu-reservation")
_PORTS = (("healthzPort", "--healthz-port"), ("readOnlyPort", "--read-only-port"))
_CHANGE_DETECTION = ("Get", "Watch", "Cache")


def problems(body: Obj) -> list[str]:
    """Every reason why it can't be used; empty if there is none."""
    found = []
    for part in _PARTS:
        found += [f"invalid configuration: {text}" for text in part(body)]
    return found


def _numbers(body: Obj) -> Iterator[str]:
    def check(name: str, flag: str, good: Callable[[Any], bool], must: str) -> Iterator[str]:
        value = body.get(name)
        if value is not None and not good(value):
            yield f"{name} ({flag}) {value} must be {must}" if flag else f"{name} must be {must}"

    for name, flag in (("maxPods", "--max-pods"), ("podsPerCore", "--pods-per-core"), ("maxOpenFiles", "--max-open-files")):
        yield from check(name, flag, lambda value: value >= 0, "a non-negative number")
    for name, flag in (
        ("eventBurst", "--event-burst"), ("eventRecordQPS", "--event-qps"), ("registryBurst", "--registry-burst"),
        ("registryPullQPS", "--registry-qps"), ("kubeAPIBurst", "--kube-api-burst"), ("kubeAPIQPS", "--kube-api-qps"),
    ):  # fmt: skip
        yield from check(name, flag, lambda value: value >= 0, "a non-negative number")
    yield from check("nodeLeaseDurationSeconds", "", lambda value: value > 0, "greater than 0")
    yield from check("oomScoreAdj", "--oom-score-adj", lambda value: -1000 <= value <= 1000, "between -1000 and 1000, inclusive")
    for name in ("containerLogMaxWorkers",):
        yield from check(name, "", lambda value: value >= 1, "greater than or equal to 1")
    if body["containerLogMaxFiles"] <= 1:
        yield f"containerLogMaxFiles {body['containerLogMaxFiles']} must be greater than 1"
    if duration.parse_go(body["containerLogMonitorInterval"]) < 3:
        yield "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s"
    longest = dig(body, "crashLoopBackOff", "maxContainerRestartPeriod", default=None)
    if longest is not None and not 1 <= duration.parse_go(longest) <= 300:
        yield f"CrashLoopBackOff.maxContainerRestartPeriod (got: {longest}) must be set between 1s and 300s"


def _user_namespaces(body: Obj) -> Iterator[str]:
    ids = dig(body, "userNamespaces", "idsPerPod")
    if ids <= 0 or ids % 65536:
        yield f"userNamespaces.idsPerPod {ids} must be a positive multiple of 65536"
    elif ids > 2**32 - 1:
        yield f"userNamespaces.idsPerPod {ids} must not be greater than {2**32 - 1}"


def _managers(body: Obj) -> Iterator[str]:
    """Of CPUs, memory and topology: what is not built is refused, as pods would count on it."""
    policy, options = body["cpuManagerPolicy"], body.get("cpuManagerPolicyOptions") or {}
    if policy not in ("none", "static"):
        yield f'unknown policy: "{policy}"'
    for name, value in options.items():
        if policy == "none":
            yield f"None policy: received unsupported options={options}"
            break
        if name not in CPU_OPTIONS:
            yield f"cpuManagerPolicyOptions: option {name} is not supported, only {' and '.join(CPU_OPTIONS)} are"
        elif value not in ("true", "false"):
            yield f'bad value for option "{name}": "{value}" must be true or false'
    if body["memoryManagerPolicy"] != "None":
        yield f'memoryManagerPolicy "{body["memoryManagerPolicy"]}" is not supported, only "None" is'
    if body["topologyManagerPolicy"] in ("restricted", "best-effort", "single-numa-node"):
        yield f'topologyManagerPolicy "{body["topologyManagerPolicy"]}" is not supported, only "none" is'
    try:
        parse(body.get("reservedSystemCPUs") or "")
    except ValueError as error:
        yield f"unable to parse reservedSystemCPUs (--reserved-cpus) {body['reservedSystemCPUs']}, error: {error}"
    if body.get("reservedSystemCPUs") and (body.get("systemReservedCgroup") or body.get("kubeReservedCgroup")):
        lead = "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup)"
        yield f"{lead} or kubeReservedCgroup (--kube-reserved-cgroup)"


def _ports(body: Obj) -> Iterator[str]:
    for name, flag in _PORTS:
        if not 0 <= (body.get(name) or 0) <= 65535:
            yield f"{name} ({flag}) {body[name]} must be between 1 and 65535, inclusive"
    if not 1 <= body["port"] <= 65535:
        yield f"port (--port) {body['port']} must be between 1 and 65535, inclusive"


def _choices(body: Obj) -> Iterator[str]:
    for name, flag, allowed in _CHOICES:
        if body[name] not in allowed:
            listed = " ".join(f'"{each}"' for each in allowed)
            yield f'{name} ({flag}) "{body[name]}" must be one of: [{listed}]'
    if body["configMapAndSecretChangeDetectionStrategy"] not in _CHANGE_DETECTION:
        text = " or ".join(f'"{each}"' for each in _CHANGE_DETECTION)
        yield f"configMapAndSecretChangeDetectionStrategy must be {text}"
    if body["cgroupDriver"] not in ("cgroupfs", "systemd"):
        yield f'cgroupDriver (--cgroup-driver) "{body["cgroupDriver"]}" must be "cgroupfs" or "systemd"'
    mode = dig(body, "authorization", "mode")
    if mode not in ("AlwaysAllow", "Webhook"):
        yield f'authorization mode "{mode}" is not supported, must be "AlwaysAllow" or "Webhook"'
    swap = dig(body, "memorySwap", "swapBehavior", default="")
    if swap not in ("", "NoSwap", "LimitedSwap"):
        yield f'memorySwap.swapBehavior "{swap}" must be one of: "", "LimitedSwap" or "NoSwap"'


def _images(body: Obj) -> Iterator[str]:
    high, low = body["imageGCHighThresholdPercent"], body["imageGCLowThresholdPercent"]
    named = (
        ("imageGCHighThresholdPercent", "--image-gc-high-threshold", high),
        ("imageGCLowThresholdPercent", "--image-gc-low-threshold", low),
    )
    for name, flag, value in named:
        if not 0 <= value <= 100:
            yield f"{name} ({flag}) {value} must be between 0 and 100, inclusive"
    if low >= high:
        text = f"imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than"
        yield f"{text} imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"
    parallel = body.get("maxParallelImagePulls")
    if parallel is not None and parallel < 1:
        yield f"maxParallelImagePulls {parallel} must be a positive number"
    if parallel is not None and parallel > 1 and body["serializeImagePulls"]:
        yield "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) set to false"


def _shutdown(body: Obj) -> Iterator[str]:
    whole, critical = body["shutdownGracePeriod"], body["shutdownGracePeriodCriticalPods"]
    whole_s, critical_s = duration.parse_go(whole), duration.parse_go(critical)
    if critical_s > whole_s:
        yield f"shutdownGracePeriodCriticalPods {critical} must be <= shutdownGracePeriod {whole}"
    for name, text, value_s in (
        ("shutdownGracePeriod", whole, whole_s),
        ("shutdownGracePeriodCriticalPods", critical, critical_s),
    ):
        if value_s < 0 or 0 < value_s < 1:
            yield f"{name} {text} must be either zero or otherwise >= 1 sec"
    if body.get("shutdownGracePeriodByPodPriority") and (whole_s or critical_s):
        yield "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time"


def _node_allocatable(body: Obj) -> Iterator[str]:
    listed = body["enforceNodeAllocatable"]
    for each in listed:
        if each not in _ENFORCEABLE:
            text = ", ".join(f'"{name}"' for name in _ENFORCEABLE)
            lead = f'option "{each}" specified for enforceNodeAllocatable (--enforce-node-allocatable)'
            yield f'{lead}. Valid options are {text}, or ""'
        for name in ("system-reserved", "kube-reserved"):
            field = "systemReservedCgroup" if name == "system-reserved" else "kubeReservedCgroup"
            if each.startswith(name) and not body.get(field):
                flag = "--system-reserved-cgroup" if name == "system-reserved" else "--kube-reserved-cgroup"
                lead = f"{field} ({flag}) must be specified when"
                yield f'{lead} "{each}" contained in enforceNodeAllocatable (--enforce-node-allocatable)'
    if "none" in listed and len(listed) > 1:
        lead = "enforceNodeAllocatable (--enforce-node-allocatable)"
        yield f'{lead} may not contain additional enforcements when "none" is specified'
    if not body["cgroupsPerQOS"] and any(each != "none" for each in listed):
        lead = "enforceNodeAllocatable (--enforce-node-allocatable) is not supported unless"
        yield f"{lead} cgroupsPerQOS (--cgroups-per-qos) is set to true"


def _evictions(body: Obj) -> Iterator[str]:
    for name in ("evictionHard", "evictionSoft", "evictionMinimumReclaim"):
        for signal, amount in (body.get(name) or {}).items():
            if signal not in SIGNALS:
                yield f"unknown eviction signal {signal}"
            elif not _is_amount(amount):
                yield f'eviction threshold of "{signal}" in {name} is no quantity or percentage: "{amount}"'
    for signal, text in (body.get("evictionSoftGracePeriod") or {}).items():
        if signal not in SIGNALS:
            yield f"unknown eviction signal {signal}"
        try:
            duration.parse_go(text)
        except ValueError as error:
            yield str(error)
    for signal in body.get("evictionSoft") or {}:
        if signal not in (body.get("evictionSoftGracePeriod") or {}):
            yield f"grace period must be specified for the soft eviction threshold {signal}"


def _is_amount(text: str) -> bool:
    try:
        return 0 <= float(text.removesuffix("%")) <= 100 if text.endswith("%") else quantity.parse(text).sign >= 0
    except ValueError:
        return False


def _amounts(body: Obj) -> Iterator[str]:
    for name in ("kubeReserved", "systemReserved"):
        for key, amount in (body.get(name) or {}).items():
            if key not in ("cpu", "memory", "ephemeral-storage", "pid"):
                yield f'{name}: cannot reserve "{key}" resource'
                continue
            try:
                if quantity.parse(amount).sign < 0:
                    yield f'{name}: resource quantity for "{key}" cannot be negative: {amount}'
            except ValueError as error:
                yield f'{name}: failed to parse quantity "{amount}" for "{key}" resource: {error}'
    try:
        quantity.parse(body["containerLogMaxSize"])
    except ValueError as error:
        yield f"containerLogMaxSize: {error}"


_PARTS = (
    _numbers, _user_namespaces, _managers, _ports, _choices, _images, _shutdown, _node_allocatable, _evictions, _amounts,
)  # fmt: skip
