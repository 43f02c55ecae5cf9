"""Show which parts run, what they take, and how the node and its pods are. Exit code 0 if all is well, 1 if not."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter

from steersman.cluster import procs, supervisor
from steersman.cluster.commands.common import add_state_dir, existing, paths_of
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError
from steersman.machinery.duration import human
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, dig, is_condition_true, name_of

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
    shown = _print_node if settings.joined_server else _print_cluster
    return 0 if asyncio.run(shown(paths, settings)) and well else 1


def _print_parts(paths: Paths, settings: ClusterSettings) -> bool:
    print(f"{'PART':<12}{'PID':<9}{'UP':<8}{'MEMORY':<10}WHAT")
    well = True
    own_etcd = {"etcd": "what the store keeps"} if settings.own_etcd else {}
    count = settings.simulated_nodes
    node = {"nodes": f"{count} simulated kubelets"} if count else {"node": "kubelet, proxy, DNS"}
    control = {"supervisor": _PARTS["supervisor"]} if settings.joined_server else _PARTS | own_etcd
    for name, what in (control | node).items():
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
    from steersman.cluster.process import client_for

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
    _print_pods(pods)
    return all(is_condition_true(node, "Ready") for node in nodes)


async def _print_node(paths: Paths, settings: ClusterSettings) -> bool:
    """What a node that has joined may know: itself, and its pods."""
    from steersman.api.resources import NODES, PODS
    from steersman.cluster.process import client_for

    name = settings.node_name
    async with client_for(paths.kubeconfigs / "kubelet.conf", "status") as client:
        try:
            node = await client.get(NODES, name)
            pods = (await client.list(PODS, field_selector=f"spec.nodeName={name}"))["items"]
        except NotFound:
            print(f"{settings.joined_server} has no node {name} any more: `steersman down --delete` cleans up here")
            return False
        except (StatusError, ConnectionError) as fault:
            print(f"The API server at {settings.joined_server} does not answer: {fault}")
            return False
    ready = is_condition_true(node, "Ready")
    print(f"\nAPI server  {settings.joined_server}")
    print(f"Node        {name}: {'Ready' if ready else 'NotReady'}")
    _print_pods(pods)
    return ready


def _print_pods(pods: list[Obj]) -> None:
    phases = Counter(dig(pod, "status", "phase", default="Unknown") for pod in pods)
    print(f"Pods        {', '.join(f'{count} {phase}' for phase, count in sorted(phases.items())) or 'none'}")
