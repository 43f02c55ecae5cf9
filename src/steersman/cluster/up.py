"""Starting a cluster, step by step, so that a person sees what happens: settings, certificates, parts, readiness."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from steersman.api.resources import NODES, SERVICE_ACCOUNTS
from steersman.client.rest import RestClient
from steersman.cluster import (
    accessoptions,
    addons,
    apioptions,
    certnames,
    cloud,
    kubeconfigs,
    pki,
    preflight,
    sharedetcd,
    supervisor,
)
from steersman.cluster.accessoptions import AccessOptions
from steersman.cluster.apioptions import ApiOptions
from steersman.cluster.process import client_for
from steersman.cluster.progress import Progress
from steersman.cluster.settings import (
    DEFAULT_STATE_DIR,
    NODE_GRACE_S,
    ClusterSettings,
    Paths,
    SettingsError,
    default_address,
    load,
    node_name_of,
    save,
)
from steersman.cluster.sharedetcd import SharedEtcd
from steersman.cluster.waiting import POLL_S, UpError, heard, node_ready, until
from steersman.machinery.clock import Clock
from steersman.machinery.errors import StatusError

SECURE_PORT = 6443
CONTAINERD, CONTAINERD_ENDPOINT = "containerd", "/run/containerd/containerd.sock"
_API_PATIENCE_S = 30.0
_NODE_PATIENCE_S = 60.0
_SIMULATED_PATIENCE_S, _SIMULATED_POLL_S = 0.1, 0.001
"""For each node more: they come up one after the other, and looking at all of them is work for those who bring them up."""
CLUSTER_CIDR = "10.244.0.0/16"
SIMULATED_CIDR = "10.128.0.0/9"
"""A /24 each for thousands of nodes; nothing is routed there."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the command line may choose at the first `up`; empty = found out."""

    node_name: str = ""
    advertise_address: str = ""
    secure_port: int = 0
    store: str = ""
    simulated_nodes: int = 0
    load_balancer_pool: str = ""
    runtime: str = ""
    runtime_endpoint: str = ""
    node_monitor_grace_s: float = 0
    cni_conf_dir: str = ""
    etcd: SharedEtcd = SharedEtcd()
    api: tuple[tuple[str, Any], ...] = ()
    """What was given of ApiOptions, by name."""
    access: tuple[tuple[str, str], ...] = ()
    """What was given of AccessOptions, by name."""
    cert_names: str | None = None
    """Names for the API server's certificate; None: not given."""


def decide_settings(paths: Paths, choices: Choices) -> ClusterSettings:
    """The existing cluster's settings, or new ones. Raises SettingsError, ConfigError for choices that cannot be honoured."""
    found = load(paths)
    if found is None:
        address = choices.advertise_address or default_address()
        try:
            ipaddress.IPv4Address(address)
        except ValueError:
            raise SettingsError(f"--advertise-address {address} is no IPv4 address") from None
        cloud.ranges_of(choices.load_balancer_pool)
        if choices.simulated_nodes and choices.runtime == CONTAINERD:
            raise SettingsError("--simulated-nodes have a runtime that pretends: --runtime is not for them")
        if choices.etcd.servers and choices.store == "sqlite":
            raise SettingsError("--store sqlite is a file of this machine: --etcd-servers names another store")
        runtime, endpoint = runtime_of(choices.runtime, choices.runtime_endpoint)
        name = node_name_of(choices.node_name)
        made = ClusterSettings(
            node_name=name,
            advertise_address=address,
            secure_port=choices.secure_port or SECURE_PORT,
            runtime=runtime,
            runtime_endpoint=endpoint,
            cni_conf_dir=cni_conf_dir_of(runtime, choices.cni_conf_dir),
            oci_runtime="" if choices.simulated_nodes or runtime == CONTAINERD else preflight.oci_runtime(),
            cluster_cidr=SIMULATED_CIDR if choices.simulated_nodes else CLUSTER_CIDR,
            cgroup_root=cgroup_root(paths),
            store=choices.store or "sqlite",
            simulated_nodes=choices.simulated_nodes,
            load_balancer_pool=choices.load_balancer_pool,
            node_monitor_grace_s=choices.node_monitor_grace_s or NODE_GRACE_S,
            api=apioptions.chosen(dict(choices.api), ApiOptions()),
            apiserver_cert_extra_sans=certnames.chosen(choices.cert_names or ""),
        )
        made = replace(made, access=_access(made, choices))
        return choices.etcd.into(made) if choices.etcd.servers else made
    for flag, asked, is_now in (
        ("--node-name", choices.node_name, found.node_name),
        ("--advertise-address", choices.advertise_address, found.advertise_address),
        ("--secure-port", choices.secure_port, found.secure_port),
        ("--store", choices.store, found.store),
        ("--simulated-nodes", choices.simulated_nodes, found.simulated_nodes),
        ("--load-balancer-pool", choices.load_balancer_pool, found.load_balancer_pool),
        ("--node-monitor-grace-period", choices.node_monitor_grace_s, found.node_monitor_grace_s),
        ("--runtime", choices.runtime, found.runtime),
        ("--runtime-endpoint", choices.runtime_endpoint.removeprefix("unix://"), found.runtime_endpoint),
        ("--cni-conf-dir", absolute(choices.cni_conf_dir), found.cni_conf_dir),
    ):
        if asked and asked != is_now:
            raise SettingsError(
                f"{flag} is {is_now or 'not set'} for the cluster in {paths.state} and cannot change: "
                f"`steersman down --delete` removes that cluster, --state-dir makes another one"
            )
    return _with_api(_with_etcd(found, choices, paths), choices, paths)


def _access(settings: ClusterSettings, choices: Choices) -> AccessOptions:
    """Raises ConfigError, SettingsError for a file that cannot be read."""
    options = accessoptions.chosen(dict(choices.access), settings.access)
    if options != settings.access:
        try:
            accessoptions.check(options, f"https://kubernetes.default.svc.{settings.cluster_domain}")
        except OSError as fault:
            raise SettingsError(str(fault)) from fault
    return options


def _with_api(found: ClusterSettings, choices: Choices, paths: Paths) -> ClusterSettings:
    """Raises SettingsError, ConfigError."""
    api = apioptions.chosen(dict(choices.api), found.api)
    access = _access(found, choices)
    names = found.apiserver_cert_extra_sans if choices.cert_names is None else certnames.chosen(choices.cert_names)
    wanted = replace(found, api=api, access=access, apiserver_cert_extra_sans=names)
    if wanted != found and supervisor.running(paths):
        given = [name for name, _ in (*choices.api, *choices.access)]
        given += [] if choices.cert_names is None else ["apiserver_cert_extra_sans"]
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise SettingsError(f"{flags}: settings of the API server change while nothing runs: `steersman down` first")
    return wanted


def _with_etcd(found: ClusterSettings, choices: Choices, paths: Paths) -> ClusterSettings:
    """Members of a shared etcd come and go in its life; what it holds is the cluster, and stays. Raises SettingsError."""
    if not choices.etcd.servers or choices.etcd == SharedEtcd.of(found):
        return found
    if not found.etcd_servers:
        raise SettingsError(f"--etcd-servers: the cluster in {paths.state} has its objects elsewhere, and they cannot move")
    if supervisor.running(paths):
        raise SettingsError("--etcd-servers changes while nothing runs: `steersman down` first, it keeps the objects")
    return choices.etcd.into(found)


def runtime_of(runtime: str, endpoint: str) -> tuple[str, str]:
    """(runtime, its socket) of what the flags say. Raises SettingsError."""
    if runtime != CONTAINERD:
        if endpoint:
            raise SettingsError("--runtime-endpoint names the socket of a runtime that runs already: --runtime containerd")
        return "native", ""
    return CONTAINERD, endpoint.removeprefix("unix://") or CONTAINERD_ENDPOINT


def cni_conf_dir_of(runtime: str, directory: str) -> str:
    """The directory as it is kept. Raises SettingsError."""
    if directory and runtime == CONTAINERD:
        raise SettingsError("--cni-conf-dir is for the native runtime: containerd has it in its own configuration, cni.conf_dir")
    return absolute(directory)


def absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""


def cgroup_root(paths: Paths) -> str:
    """Cgroups are the machine's, so a cluster in a state directory of its own gets one of its own."""
    if paths.state == DEFAULT_STATE_DIR:
        return "steersman"
    return f"steersman-{hashlib.sha256(str(paths.state).encode()).hexdigest()[:8]}"


def bring_up(paths: Paths, choices: Choices, clock: Clock, progress: Progress) -> ClusterSettings:
    """Start what does not run yet and wait until the node is Ready. Raises SettingsError, UpError."""
    found = load(paths)
    native = (found.runtime if found else choices.runtime) != CONTAINERD
    simulated = choices.simulated_nodes or (found is not None and found.simulated_nodes)
    lacks = [] if simulated else preflight.problems(native=native)
    if lacks:
        raise UpError("; ".join(lacks))
    settings = decide_settings(paths, choices)
    lacks = preflight.store_problems(settings.store, settings.own_etcd)
    lacks += preflight.runtime_problems(settings.runtime, settings.runtime_endpoint)
    if lacks:
        raise UpError("; ".join(lacks))
    since = datetime.min.replace(tzinfo=UTC)
    if not supervisor.running(paths):
        _check_ports(paths, settings)
        if settings.etcd_servers:
            with progress.step("etcd") as notes:
                notes.append(asyncio.run(_etcd(paths, settings, clock, first=found is None)))
        since = clock.now()
        save(paths, settings)
        with progress.step("certificates") as notes:
            made = pki.ensure(paths, settings, clock)
            kubeconfigs.ensure(paths, settings)
            notes.append(f"{len(made)} made in {paths.pki}" if made else "kept")
        from steersman.cluster.parts import parts

        supervisor.start(paths, parts(paths, settings))
    asyncio.run(_follow(paths, settings, since, clock, progress))
    return settings


def _check_ports(paths: Paths, settings: ClusterSettings) -> None:
    """Another program's ports are told now, not by parts that fail in their logs. Raises UpError."""
    ports = {"API server": ("0.0.0.0", settings.secure_port)}
    if not settings.simulated_nodes:
        ports |= {"kubelet": ("0.0.0.0", settings.kubelet_port), "DNS": (settings.advertise_address, settings.dns_port)}
    lacks = preflight.port_problems(ports) if preflight.none_left(paths, ("apiserver", "node", "nodes")) else []
    if lacks:
        raise UpError("; ".join(lacks))


async def _etcd(paths: Paths, settings: ClusterSettings, clock: Clock, *, first: bool) -> str:
    """A note about the etcd that is shared. Raises UpError, SettingsError if a new cluster cannot begin there."""
    etcd, ca = SharedEtcd.of(settings), paths.pki / "ca.crt"
    why = await sharedetcd.complaint(etcd, clock)
    if why and first:
        raise UpError(why)
    if not why and await sharedetcd.foreign_ca(etcd, ca.read_bytes() if ca.exists() else b"", clock):
        raise SettingsError(sharedetcd.other_cluster(settings))
    # An etcd that comes later than this machine is waited for by the API server.
    return why or ", ".join(etcd.servers)


async def _serves(client: RestClient, paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Until the API server does. Raises UpError, with etcd's part in it."""
    try:
        await until(lambda: _ready(client), _API_PATIENCE_S, clock, "the API server", paths.log_file("apiserver"))
    except UpError as error:
        why = await sharedetcd.complaint(SharedEtcd.of(settings), clock) if settings.etcd_servers else ""
        raise UpError(f"{error}; {why}" if why else str(error)) from error


async def _follow(paths: Paths, settings: ClusterSettings, since: datetime, clock: Clock, progress: Progress) -> None:
    async with client_for(paths.admin_kubeconfig, "up") as client:
        with progress.step("API server") as notes:
            await _serves(client, paths, settings, clock)
            await addons.ensure(client, settings, (paths.pki / "ca.crt").read_bytes())
            notes.append(settings.public_server)
        with progress.step("scheduler, controllers"):
            await until(lambda: _controlled(client), _API_PATIENCE_S, clock, "the controllers", paths.log_file("control"))
        if settings.simulated_nodes:
            await _follow_simulated(client, paths, settings, since, clock, progress)
            return
        with progress.step("node") as notes:
            node, log = settings.node_name, paths.log_file("node")
            await until(lambda: node_ready(client, node, since), _NODE_PATIENCE_S, clock, f"node {node}", log)
            notes.append(f"{node} Ready")


async def _follow_simulated(
    client: RestClient, paths: Paths, settings: ClusterSettings, since: datetime, clock: Clock, progress: Progress
) -> None:
    count = settings.simulated_nodes
    with progress.step("simulated nodes") as notes:

        async def ready() -> bool:
            return sum(heard(node, since) for node in (await client.list(NODES))["items"]) >= count

        patience_s = _NODE_PATIENCE_S + _SIMULATED_PATIENCE_S * count
        what, log = f"{count} simulated nodes", paths.log_file("nodes")
        await until(ready, patience_s, clock, what, log, poll_s=max(POLL_S, _SIMULATED_POLL_S * count))
        notes.append(f"{count} Ready")


async def _ready(client: RestClient) -> bool:
    try:
        return bool(await client.raw("GET", "/readyz") == "ok")
    except (StatusError, ConnectionError):
        return False


async def _controlled(client: RestClient) -> bool:
    """The service account controller gives each namespace its `default` account: then the controllers work."""
    try:
        await client.get(SERVICE_ACCOUNTS, "default", "default")
        return True
    except (StatusError, ConnectionError):
        return False
