"""Show which parts run, what they take, and how the node and its pods are. Exit code 0 if all is well, 1 if not."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter

from steersman.cluster import procs, supervisor
from steersman.cluster.commands.common import add_state_dir, existing, paths_of
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError
from steersman.machinery.duration import human
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import dig, is_condition_true, name_of

PROBLEMS = (SettingsError, OSError)
_PARTS = {
    "supervisor": "restarts the parts",
    "apiserver": "API server, store",
    "control": "scheduler, controllers",
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_state_dir(parser)


def run(args: argparse.Namespace) -> int:
    paths = paths_of(args)
    settings = existing(paths)
    if not supervisor.running(paths):
        print(f"The cluster in {paths.state} is down: `steersman up` brings it back.")
        return 1
    well = _print_parts(paths, settings)
    return 0 if asyncio.run(_print_cluster(paths, settings)) and well else 1


def _print_parts(paths: Paths, settings: ClusterSettings) -> bool:
    print(f"{'PART':<12}{'PID':<9}{'UP':<8}{'MEMORY':<10}WHAT")
    well = True
    own_etcd = {"etcd": "what the store keeps"} if settings.store == "etcd" else {}
    count = settings.simulated_nodes
    node = {"nodes": f"{count} simulated kubelets"} if count else {"node": "kubelet, proxy, DNS"}
    for name, what in (_PARTS | node | own_etcd).items():
        found = procs.find(paths.pid_file(name))
        if found is None:
            well = False
            print(f"{name:<12}{'-':<9}{'down':<8}{'-':<10}{what} (see {paths.log_file(name)})")
        else:
            memory = f"{found.pss / 1e6:.0f} MB"
            print(f"{name:<12}{found.pid:<9}{human(procs.uptime_s(found)):<8}{memory:<10}{what}")
    return well


async def _print_cluster(paths: Paths, settings: ClusterSettings) -> bool:
    from steersman.api.resources import NODES, PODS
    from steersman.cluster.components import client_for

    async with client_for(paths.admin_kubeconfig, "status") as client:
        try:
            nodes = (await client.list(NODES))["items"]
            pods = (await client.list(PODS))["items"]
        except (StatusError, ConnectionError) as fault:
            print(f"The API server at {settings.public_server} does not answer: {fault}")
            return False
    print(f"\nAPI server  {settings.public_server}")
    if settings.simulated_nodes:
        ready = sum(is_condition_true(node, "Ready") for node in nodes)
        print(f"Nodes       {ready} of {len(nodes)} Ready")
    else:
        for node in nodes:
            print(f"Node        {name_of(node)}: {'Ready' if is_condition_true(node, 'Ready') else 'NotReady'}")
    phases = Counter(dig(pod, "status", "phase", default="Unknown") for pod in pods)
    print(f"Pods        {', '.join(f'{count} {phase}' for phase, count in sorted(phases.items())) or 'none'}")
    return all(is_condition_true(node, "Ready") for node in nodes)
