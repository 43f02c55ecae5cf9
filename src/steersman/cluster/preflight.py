"""What must be there before a node can start. Each lack is one sentence that says what to do."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from steersman.cluster import procs
from steersman.cluster.settings import Paths

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


def store_problems(store: str, own: bool = True, *, which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """Likewise, of the store that was chosen. own: an etcd is to be started."""
    if store != "etcd":
        return []
    found = [] if which("etcd") or not own else ["etcd is missing: apt-get install etcd-server"]
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


def port_problems(ports: Mapping[str, tuple[str, int]]) -> list[str]:
    """Likewise, of (address, TCP port) by what wants to listen there."""
    found: list[str] = []
    for what, (address, port) in ports.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the parts do: connections that linger after a program's end hold nobody up.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as fault:
                if fault.errno == errno.EADDRINUSE:
                    found.append(f"port {port}, which the {what} needs, is in use by another program")
                elif fault.errno == errno.EADDRNOTAVAIL:
                    found.append(f"{address} is no address of this machine")
                else:
                    raise
    return found


def none_left(paths: Paths, parts: Iterable[str]) -> bool:
    """Whether no part of an earlier life still runs: those are seen off at start, and hold their ports until then."""
    return all(procs.find(paths.pid_file(part)) is None for part in parts)
