"""What the machine says about itself: capacity, addresses, system info. Reads /proc, /sys, /etc."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path

from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.eviction.signals import amount as eviction_amount
from steersman.machinery import quantity
from steersman.machinery.meta import Obj

KUBELET_VERSION = "v1.36.2"
_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}


def architecture() -> str:
    return _ARCH.get(platform.machine(), platform.machine())


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def memory_bytes() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def swap_bytes() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("SwapTotal:"):
            return int(line.split()[1]) * 1024
    return 0


def _disk_bytes(path: Path) -> int:
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def capacity(config: KubeletConfig) -> dict[str, str]:
    """Node.status.capacity."""
    made = {
        "cpu": str(os.cpu_count() or 1),
        "ephemeral-storage": str(quantity.Quantity.of(_disk_bytes(config.root_dir) // 1024 * 1024, quantity.BINARY_SI)),
        "memory": str(quantity.Quantity.of(memory_bytes(), quantity.BINARY_SI)),
        "pods": str(_most_pods(config)),
    }
    for folder in sorted(Path("/sys/kernel/mm/hugepages").glob("hugepages-*kB")):
        size = int(folder.name.removeprefix("hugepages-").removesuffix("kB")) * 1024
        count = int(_read(str(folder / "nr_hugepages")) or 0)
        made[f"hugepages-{quantity.Quantity.of(size, quantity.BINARY_SI)}"] = str(
            quantity.Quantity.of(size * count, quantity.BINARY_SI)
        )
    return made


def _most_pods(config: KubeletConfig) -> int:
    if not config.pods_per_core:
        return config.max_pods
    return min((os.cpu_count() or 1) * config.pods_per_core, config.max_pods)


def allocatable(config: KubeletConfig, have: Mapping[str, str]) -> dict[str, str]:
    """Capacity without what is reserved and the hard eviction threshold."""
    made = {}
    for key, text in have.items():
        amount = quantity.parse(text)
        for reserved in (config.kube_reserved, config.system_reserved):
            if key in reserved:
                amount = amount - quantity.parse(reserved[key])
        if key == "memory":
            amount = amount - quantity.parse(config.eviction_hard_memory)
            for name, size in have.items():
                if name.startswith("hugepages-"):
                    amount = amount - quantity.parse(size)
        elif key == "ephemeral-storage":
            threshold = (config.configuration.get("evictionHard") or {}).get("nodefs.available")
            if threshold:
                amount = amount - quantity.Quantity.of(eviction_amount(threshold).of(quantity.value(text)))
        made[key] = str(amount if amount.sign > 0 else quantity.Quantity.of(0))
    return made


def node_ip(config: KubeletConfig) -> str:
    """The configured address, else the one the default route leaves from, else the host name's."""
    if config.node_ip:
        return config.node_ip
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing: it only asks the routing table.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            pass
    try:
        return socket.gethostbyname(config.node_name)
    except OSError:
        return "127.0.0.1"


def runtime_version(runtime: tuple[str, str]) -> str:
    return f"{runtime[0]}://{runtime[1]}"


def system_info(runtime: tuple[str, str]) -> Obj:
    """Node.status.nodeInfo. runtime: (name, version)."""
    pretty = next(
        (line.partition("=")[2].strip('"') for line in _read("/etc/os-release").splitlines() if line.startswith("PRETTY_NAME=")),
        "Linux",
    )
    machine_id = _read("/etc/machine-id") or _read("/var/lib/dbus/machine-id")
    return {
        "machineID": machine_id,
        "systemUUID": _read("/sys/class/dmi/id/product_uuid") or machine_id,
        "bootID": _read("/proc/sys/kernel/random/boot_id"),
        "kernelVersion": platform.release(),
        "osImage": pretty,
        "containerRuntimeVersion": runtime_version(runtime),
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": architecture(),
        "swap": {"capacity": swap_bytes()},
    }


def apparmor_enabled() -> bool:
    """Of this machine's kernel."""
    try:
        with open("/sys/module/apparmor/parameters/enabled") as file:
            return file.read(1) == "Y"
    except OSError:
        return False
