"""Ending a cluster: the parts, then the pods, then everything a node leaves in the kernel. Each step can be repeated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from steersman.cluster import supervisor
from steersman.cluster.procs import mounts_under
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, load
from steersman.machinery.clock import Clock

_POLL_S = 0.02
_PATIENCE_S = 90.0


class DownError(Exception):
    """Something would not go; one sentence."""


async def bring_down(paths: Paths, clock: Clock, progress: Progress, *, delete: bool) -> None:
    """End the cluster in this state directory; with `delete` remove the directory as well."""
    settings = load(paths)
    if os.geteuid() != 0 and not (settings and settings.simulated_nodes):
        raise DownError("ending a node needs root: run it again with sudo")
    if settings is None:
        if delete and paths.state.exists() and any(paths.state.iterdir()):
            raise SettingsError(f"{paths.state} holds no cluster, so it is not removed")
        progress.say(f"there is no cluster in {paths.state}")
        return
    with progress.step("parts") as notes:
        notes.append("ended" if await _end_supervisor(paths, clock) else "did not run")
    if settings.simulated_nodes:
        # They were part of what just ended; only their files are left.
        leftovers = (paths.run, paths.kubelet, paths.pod_logs)
    else:
        with progress.step("pods") as notes:
            notes.append(await _remove_pods(paths, settings, clock))
        with progress.step("network, mounts, cgroups"):
            await _clean_kernel(paths, settings, clock)
        leftovers = (paths.run, paths.kubelet / "pods", paths.state / "network")
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    if delete:
        with progress.step("state") as notes:
            shutil.rmtree(paths.state)
            notes.append(f"{paths.state} removed")


async def _end_supervisor(paths: Paths, clock: Clock) -> bool:
    pid = supervisor.running(paths)
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = clock.monotonic() + _PATIENCE_S
    while supervisor.running(paths):
        if clock.monotonic() > deadline:
            raise DownError(f"the supervisor (pid {pid}) does not end: see {paths.log_file('supervisor')}")
        await clock.sleep(_POLL_S)
    return True


async def _remove_pods(paths: Paths, settings: ClusterSettings, clock: Clock) -> str:
    """Stop and remove every sandbox, all at once. Graceful ends are the API's business: `down` is the plug."""
    from steersman.cluster import node
    from steersman.cri.interface import RuntimeFault

    async with node.runtime(paths, settings, clock) as parts:
        try:
            sandboxes = await parts.runtime.list_pod_sandboxes()
        except RuntimeFault as fault:
            # A containerd that is gone must not keep the cluster from going.
            return f"left as they are: {fault}"
        faults: list[RuntimeFault] = []

        async def remove(sandbox_id: str) -> None:
            try:
                await parts.runtime.remove_pod_sandbox(sandbox_id)
            except RuntimeFault as fault:
                faults.append(fault)

        async with asyncio.TaskGroup() as group:
            for sandbox in sandboxes:
                group.create_task(remove(sandbox.id))
    left = f", {len(faults)} left as they are: {faults[0]}" if faults else ""
    return f"{len(sandboxes) - len(faults)} removed{left}"


async def _clean_kernel(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    from steersman.cri.native.cgroups import unsettle_hybrid
    from steersman.network import overlay
    from steersman.network.bridge import BridgeNetwork
    from steersman.network.cni import CniNetwork
    from steersman.proxy import run as proxying

    await proxying.remove(clock)
    overlay.remove()
    if settings.runtime == "containerd":
        await CniNetwork(paths.state / "network", settings.cluster_cidr).remove()
    else:
        await BridgeNetwork(paths.state / "network", settings.bridge, settings.cluster_cidr).remove()
    for point in mounts_under(paths.state):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
    remove_cgroups(Path("/sys/fs/cgroup"), settings.cgroup_root)
    unsettle_hybrid()


def remove_cgroups(mount: Path, root: str) -> None:
    """Remove the node's cgroup below every controller (v1) and below the unified one (v2)."""
    for top in {mount / root, *(controller / root for controller in mount.iterdir() if controller.is_dir())}:
        if not top.is_dir():
            continue
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
