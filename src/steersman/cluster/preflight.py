"""What must be there before a node can start. Each lack is one sentence that says what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

# program -> Debian package
_PROGRAMS = {"nft": "nftables", "mount": "mount", "umount": "mount"}
_NATIVE_PROGRAMS = {"conmon": "conmon"}
_OCI_RUNTIMES = ("crun", "runc")


def problems(
    *,
    native: bool = True,
    euid: Callable[[], int] = os.geteuid,
    which: Callable[[str], str | None] = shutil.which,
    filesystems: Path = Path("/proc/filesystems"),
    cgroups: Path = Path("/sys/fs/cgroup"),
) -> list[str]:
    """Sentences, empty if a node can run here. native: with our own runtime."""
    found: list[str] = []
    if euid() != 0:
        found.append("a node needs root: run it again with sudo, or without for nodes that are simulated: --simulated-nodes N")
    programs = {**_PROGRAMS, **(_NATIVE_PROGRAMS if native else {})}
    missing = sorted({package for program, package in programs.items() if not which(program)})
    if native and not any(which(runtime) for runtime in _OCI_RUNTIMES):
        missing.append("crun")
    if missing:
        found.append(f"programs are missing: apt-get install {' '.join(missing)}")
    try:
        if "overlay" not in filesystems.read_text().split():
            found.append("the kernel has no overlayfs: load it with modprobe overlay")
    except OSError:
        found.append("/proc is not mounted")
    if not any((cgroups / name).exists() for name in ("cgroup.controllers", "memory", "unified")):
        found.append(f"no cgroups are mounted at {cgroups}")
    return found


def store_problems(store: str, *, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """Likewise, of the store that was chosen."""
    if store != "etcd":
        return []
    found = [] if which("etcd") else ["etcd is missing: apt-get install etcd-server"]
    if importlib.util.find_spec("grpc") is None:
        found.append("the Python package grpcio is missing: install steersman[etcd]")
    return found


def runtime_problems(runtime: str, endpoint: str) -> list[str]:
    """Likewise, of the container runtime that was chosen."""
    if runtime != "containerd":
        return []
    found = [] if Path(endpoint).is_socket() else [f"no container runtime listens at {endpoint}: start it, or name its socket"]
    for package in ("grpc", "cri_api"):
        if importlib.util.find_spec(package) is None:
            found.append("the Python packages for CRI are missing: install steersman[cri]")
            break
    return found


def oci_runtime(which: Callable[[str], str | None] = shutil.which) -> str:
    """The fastest OCI runtime there is: crun (11 ms a start) before runc (36 ms)."""
    return next((path for name in _OCI_RUNTIMES if (path := which(name))), "crun")
