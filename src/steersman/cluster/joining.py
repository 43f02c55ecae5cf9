"""Making this machine a node of a cluster whose API server is elsewhere, and bringing such a node back.

What a person is told at once is done here, before anything runs: knowing the cluster (discovery.py), what it has to say about
names and ranges (clusterinfo.py), whether the name is free, the first client certificate. The node itself is joined.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime

from steersman.api import nodeagents
from steersman.api.resources import CONFIG_MAPS, NODES
from steersman.client import kubeconfig
from steersman.client.interface import Client
from steersman.cluster import clusterinfo, discovery, kubeconfigs, preflight, supervisor, up
from steersman.cluster.process import client_for
from steersman.cluster.progress import Progress
from steersman.cluster.settings import ClusterSettings, Paths, SettingsError, default_address, load, node_name_of, save
from steersman.cluster.waiting import UpError, node_ready, until
from steersman.kubelet import certificates
from steersman.machinery import names
from steersman.machinery.clock import Clock
from steersman.machinery.errors import Forbidden, NotFound, StatusError, Unauthorized
from steersman.machinery.meta import is_condition_true, labels_of
from steersman.machinery.waiting import within

DEFAULT_PORT = 6443
_APPROVAL_PATIENCE_S = 300.0
_NODE_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class JoinChoices:
    """What the command line says; empty = found out."""

    server: str
    token: str = ""
    pins: tuple[str, ...] = ()
    node_name: str = ""
    node_ip: str = ""
    pool: str = ""
    labels: tuple[str, ...] = ()
    runtime: str = ""
    runtime_endpoint: str = ""
    cni_conf_dir: str = ""


def join(paths: Paths, choices: JoinChoices, clock: Clock, progress: Progress) -> ClusterSettings:
    """Join, or bring the node back that has joined. Raises SettingsError, DiscoveryError, UpError, StatusError."""
    found = load(paths)
    wanted = _decide(paths, choices, found)
    native = wanted.runtime != up.CONTAINERD
    lacks = preflight.problems(native=native) + preflight.runtime_problems(wanted.runtime, wanted.runtime_endpoint)
    if lacks:
        raise UpError("; ".join(lacks))
    if found is None or not admitted(paths, clock):
        _check_ports(paths, wanted)
        wanted = asyncio.run(_be_admitted(paths, wanted, choices, clock, progress))
        save(paths, wanted)
    return bring_back(paths, wanted, clock, progress)


def bring_back(paths: Paths, settings: ClusterSettings, clock: Clock, progress: Progress) -> ClusterSettings:
    """Start the node of these settings if it does not run, and wait until it is Ready. Raises UpError."""
    if not admitted(paths, clock):
        raise UpError(f"the certificate of node {settings.node_name} has expired: join again, with a new token")
    since = datetime.min.replace(tzinfo=UTC)
    if not supervisor.running(paths):
        _check_ports(paths, settings)
        since = clock.now()
        kubeconfigs.lead(paths.kubeconfigs / "kubelet.conf", settings.server)
        from steersman.cluster.parts import parts

        supervisor.start(paths, parts(paths, settings))
    asyncio.run(_follow(paths, settings, since, clock, progress))
    return settings


def admitted(paths: Paths, clock: Clock) -> bool:
    """Whether this node has a kubeconfig, and a certificate whose time is now."""
    config = paths.kubeconfigs / "kubelet.conf"
    return config.exists() and certificates.load(paths.kubelet_pki / certificates.CLIENT_FILE, clock.now()) is not None


def _check_ports(paths: Paths, settings: ClusterSettings) -> None:
    ports = {"way to the API servers": ("127.0.0.1", settings.balancer_port), "kubelet": ("0.0.0.0", settings.kubelet_port)}
    ports |= {"DNS": (settings.advertise_address, settings.dns_port)}
    lacks = preflight.port_problems(ports) if preflight.none_left(paths, ("node",)) else []
    if lacks:
        raise UpError("; ".join(lacks))


async def _follow(paths: Paths, settings: ClusterSettings, since: datetime, clock: Clock, progress: Progress) -> None:
    name = settings.node_name
    async with client_for(paths.kubeconfigs / "kubelet.conf", "join") as client:
        with progress.step("node") as notes:
            log = paths.log_file("node")
            await until(lambda: node_ready(client, name, since), _NODE_PATIENCE_S, clock, f"node {name}", log)
            notes.append(f"{name} Ready")


# --- what is asked for -------------------------------------------------------------------------------------------------


def _decide(paths: Paths, choices: JoinChoices, found: ClusterSettings | None) -> ClusterSettings:
    server = server_address(choices.server)
    if found is None:
        return new_settings(paths, choices, server)
    if not found.joined_server:
        raise SettingsError(
            f"{paths.state} holds a cluster of its own: `steersman down --delete` removes it, --state-dir names another place"
        )
    for what, asked, is_now in (
        ("the cluster's address", server, found.joined_as),
        ("--node-name", choices.node_name, found.node_name),
        ("--node-ip", choices.node_ip, found.advertise_address),
        ("--pool", choices.pool, found.pool),
        ("--labels", choices.labels, found.node_labels),
        ("--runtime", choices.runtime, found.runtime),
    ):
        if asked and asked != is_now:
            shown = is_now if isinstance(is_now, str) else ",".join(is_now)
            raise SettingsError(
                f"this machine has joined already, and {what} is {shown or 'not set'}: `steersman down --delete` lets it leave"
            )
    return found


def new_settings(paths: Paths, choices: JoinChoices, server: str) -> ClusterSettings:
    """Of a machine that has not joined yet. Raises SettingsError."""
    if not choices.token or not choices.pins:
        raise SettingsError("--token and --discovery-token-ca-cert-hash are needed: `steersman token create` prints both")
    address = choices.node_ip or default_address("--node-ip")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise SettingsError(f"--node-ip {address} is no IPv4 address") from None
    name = node_name_of(choices.node_name)
    check_pool(choices.pool)
    runtime, endpoint = up.runtime_of(choices.runtime, choices.runtime_endpoint)
    return ClusterSettings(
        node_name=name,
        advertise_address=address,
        runtime=runtime,
        runtime_endpoint=endpoint,
        cni_conf_dir=up.cni_conf_dir_of(runtime, choices.cni_conf_dir),
        oci_runtime="" if runtime == up.CONTAINERD else preflight.oci_runtime(),
        cgroup_root=up.cgroup_root(paths),
        pool=choices.pool,
        node_labels=checked_labels(choices.labels),
        joined_as=server,
    )


def server_address(text: str) -> str:
    """host:port; https:// before it is forgiven. Raises SettingsError."""
    host, colon, port = text.removeprefix("https://").rstrip("/").rpartition(":")
    if not colon:
        host, port = port, str(DEFAULT_PORT)
    if not host or "/" in host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(f"{text!r} is not the address of an API server: host:port, as in 192.0.2.1:6443")
    return f"{host}:{port}"


def check_pool(pool: str) -> None:
    """Raises SettingsError."""
    for complaint in names.dns1123_label(pool) if pool else ():
        raise SettingsError(f"--pool {pool}: {complaint}")
    if pool in nodeagents.CONTROL_ROLES:
        raise SettingsError(f"--pool {pool} is the name of a role that joining nodes can't have")


def checked_labels(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Raises SettingsError for what is no label, or none that a node may give itself."""
    from steersman.apiserver.admission.node_restriction import is_refused

    for text in texts:
        key, equals, value = text.partition("=")
        complaints = names.qualified_name(key) + names.label_value(value)
        if not equals or complaints:
            raise SettingsError(f"--labels {text}: {complaints[0] if complaints else 'must be key=value'}")
        if is_refused(key) or key == nodeagents.POOL_LABEL:
            raise SettingsError(f"--labels {text}: a node may not give itself the label {key}")
    return texts


# --- being let in ------------------------------------------------------------------------------------------------------


async def _be_admitted(
    paths: Paths, settings: ClusterSettings, choices: JoinChoices, clock: Clock, progress: Progress
) -> ClusterSettings:
    """The complete settings, once the node has its kubeconfig and first certificate."""
    if not choices.token or not choices.pins:
        raise SettingsError("the node's certificate has expired: --token and --discovery-token-ca-cert-hash are needed again")
    with progress.step("cluster") as notes:
        found = await discovery.discover(settings.joined_as, choices.token, choices.pins, clock)
        notes.append(found.server)
    bootstrap = paths.kubeconfigs / "bootstrap-kubelet.conf"
    kubeconfig.write(bootstrap, kubeconfig.make("steersman", f"https://{settings.joined_as}", ca=found.ca, token=choices.token))
    try:
        async with client_for(bootstrap, "join", clock) as client:
            with progress.step("admission") as notes:
                settings = await _told(client, dataclasses.replace(settings, joined_server=found.server))
                await check_name(client, settings)
                await _certificate(paths, settings, client, clock)
                notes.append(f"certificate of node {settings.node_name}")
    except Unauthorized:
        raise SettingsError(
            "the API server does not take the token: it has no usage `authentication`, or has just expired"
        ) from None
    finally:
        # The token has done its work; what follows is done with the certificate.
        bootstrap.unlink(missing_ok=True)
        # Whoever was not let in leaves nothing behind.
        with contextlib.suppress(OSError):
            paths.kubeconfigs.rmdir()
    return settings


async def _told(client: Client, settings: ClusterSettings) -> ClusterSettings:
    try:
        return clusterinfo.adopt(settings, await client.get(CONFIG_MAPS, clusterinfo.NAME, clusterinfo.NAMESPACE))
    except Forbidden:
        raise SettingsError("the token is not one for nodes: its groups are not let read what a node must know") from None
    except NotFound:
        raise SettingsError(
            f"the cluster takes no nodes: it has no ConfigMap {clusterinfo.NAMESPACE}/{clusterinfo.NAME}"
        ) from None


async def check_name(client: Client, settings: ClusterSettings) -> None:
    """A name in use belongs to another machine; one whose node is not Ready may be this one's from before."""
    name = settings.node_name
    try:
        node = await client.get(NODES, name)
    except NotFound:
        return
    if is_condition_true(node, "Ready"):
        raise SettingsError(
            f"a node named {name} is there already, and Ready: choose another --node-name, or let it go with "
            f"`steersman remove node {name}`"
        )
    pool = labels_of(node).get(nodeagents.POOL_LABEL, "")
    if pool != settings.pool:
        raise SettingsError(
            f"node {name} is there already, in {f'pool {pool}' if pool else 'no pool'}: first let it go with "
            f"`steersman remove node {name}`"
        )


async def _certificate(paths: Paths, settings: ClusterSettings, client: Client, clock: Clock) -> None:
    config, bootstrap = paths.kubeconfigs / "kubelet.conf", paths.kubeconfigs / "bootstrap-kubelet.conf"

    async def asking() -> None:
        await certificates.bootstrap(config, bootstrap, paths.kubelet_pki, settings.node_name, client, clock)

    try:
        if not await within(clock, _APPROVAL_PATIENCE_S, asking):
            raise UpError(
                "nobody approved or signed this node's certificate signing request: `kubectl get csr` at the cluster shows it, "
                "`kubectl certificate approve` approves it"
            )
    except certificates.Refused as error:
        raise SettingsError(str(error)) from error


PROBLEMS = (SettingsError, discovery.DiscoveryError, UpError, StatusError, OSError)
