"""The process of the control plane: scheduler, controllers and cloud controllers, each while it is the one elected.

commands/ run the same ones alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.client import kubeconfig
from steersman.client.http import HttpTransport
from steersman.client.patience import PatientTransport
from steersman.client.rest import RestClient
from steersman.cluster import leading
from steersman.cluster.leading import Election
from steersman.cluster.observed import Observed
from steersman.cluster.process import client_for
from steersman.cluster.settings import NODE_GRACE_S, ClusterSettings, Paths
from steersman.machinery.clock import Clock

if TYPE_CHECKING:
    from steersman.cluster.componentserver import Pages
    from steersman.controllers.certificates import Signer
    from steersman.controllers.serviceaccounttokens import TokenSigner

log = logging.getLogger(__name__)

SCHEDULER, CONTROLLERS = "kube-scheduler", "kube-controller-manager"
"""Names of their leases."""

# Controllers whose service account has another name than they: upstream's names, which the default roles are bound to.
ACCOUNTS = {
    "bootstrap-signer-controller": "bootstrap-signer",
    "certificatesigningrequest-approving-controller": "certificate-controller",
    "certificatesigningrequest-cleaner-controller": "certificate-controller",
    "certificatesigningrequest-signing-controller": "certificate-controller",
    "daemonset-controller": "daemon-set-controller",
    "endpoints-controller": "endpoint-controller",
    "endpointslice-mirroring-controller": "endpointslicemirroring-controller",
    "garbage-collector-controller": "generic-garbage-collector",
    "legacy-serviceaccount-token-cleaner-controller": "legacy-service-account-token-cleaner",
    "local-path-provisioner-controller": "local-path-provisioner",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "node-ipam-controller": "node-controller",
    "node-lifecycle-controller": "node-controller",
    "pod-garbage-collector-controller": "pod-garbage-collector",
    "service-cidr-controller": "service-cidrs-controller",
    "persistentvolume-binder-controller": "persistent-volume-binder",
    "persistentvolume-protection-controller": "pv-protection-controller",
    "persistentvolumeclaim-protection-controller": "pvc-protection-controller",
    "replicationcontroller-controller": "replication-controller",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "serviceaccount-controller": "service-account-controller",
    "stale-pod-disruption-controller": "disruption-controller",
    "taint-eviction-controller": "node-controller",
    "token-cleaner-controller": "token-cleaner",
}


async def scheduler(config: Path, clock: Clock, election: Election | None, pages: Pages | None = None) -> None:
    """One scheduler, while it is the one elected. `pages`: where it tells of itself."""
    from steersman.scheduler import run as scheduling
    from steersman.scheduler.counting import SchedulingCounts

    counts = SchedulingCounts()
    observed = Observed("kube-scheduler", scheduling=counts, leads=None if election is None else False)
    async with client_for(config, "kube-scheduler", clock, observed) as client, _served(pages, observed, client, clock):

        async def lead() -> None:
            observed.leads = None if election is None else True
            await scheduling.run(client, clock, counts=counts)

        await leading.led(client, election, "default-scheduler", clock, lead)


def _served(
    pages: Pages | None, observed: Observed, client: RestClient, clock: Clock
) -> contextlib.AbstractAsyncContextManager[object]:
    if pages is None:
        return contextlib.nullcontext()
    # Here, not above: most have none.
    from steersman.cluster.componentserver import serving

    return serving(pages, observed, client, clock)


async def controller_manager(
    config: Path,
    ca: Path | None,
    cluster_cidr: str,
    clock: Clock,
    election: Election | None,
    signer: Signer | None = None,
    node_grace_s: float = NODE_GRACE_S,
    tokens: TokenSigner | None = None,
    pages: Pages | None = None,
) -> None:
    """The controllers, while elected: reading as the manager, each writing as its own service account.

    ca: what pods are given; None: that of the kubeconfig.
    node_grace_s: how long a node may be silent.
    tokens: has the key of service account tokens that are kept in Secrets.
    """
    from steersman import controllers
    from steersman.client.accounts import AccountTransport
    from steersman.client.events import EventRecorder
    from steersman.loop import runner

    connection = kubeconfig.connection(config)
    nameless = dataclasses.replace(connection, cert=None, key=None, token="", token_file=None).transport()
    observed = Observed("kube-controller-manager", leads=None if election is None else False)
    nameless.counts = observed.requests
    async with (
        client_for(config, "kube-controller-manager", clock, observed) as client,
        _closed(nameless),
        _served(pages, observed, client, clock),
    ):

        def acting(controller: str) -> RestClient:
            if controller == "serviceaccount-token-controller":
                return client  # upstream's is the manager itself: an account of its own would come with a token of its own
            account = ACCOUNTS.get(controller, controller)
            transport = PatientTransport(AccountTransport(nameless, client, "kube-system", account, clock), clock)
            return RestClient(transport, user_agent=f"steersman-{controller}", field_manager="kube-controller-manager")

        pem = connection.ca_pem() if ca is None else ca.read_text()
        specs = controllers.build(pem, cluster_cidr, signer, timedelta(seconds=node_grace_s), tokens)

        async def lead() -> None:
            recorder = EventRecorder(client, "controller-manager", "", clock)
            metadata, queues = client.metadata_only(), observed.queues
            observed.leads = None if election is None else True
            await runner.run(client, specs, clock, recorder=recorder, metadata_client=metadata, acting=acting, queues=queues)

        await leading.led(client, election, "kube-controller-manager", clock, lead)


async def control(paths: Paths, settings: ClusterSettings, clock: Clock) -> None:
    """Scheduler, controllers and cloud controllers on one loop, until cancelled or until one of them has lost its lease."""
    from steersman.client.leases import LeadershipLost
    from steersman.cluster import cloud
    from steersman.cluster.signing import FileSigner
    from steersman.cluster.tokensigning import FileTokenSigner

    config, ca = paths.kubeconfigs / "controller-manager.conf", paths.pki / "ca.crt"
    signer = FileSigner(ca, paths.pki / "ca.key")
    # Where others may stand by, upstream's pace: they follow within seconds.
    candidate = Election if settings.etcd_servers else Election.unhurried
    identity = leading.kept_identity(paths.leader_identity)
    elections = {name: candidate(name=name, identity=identity) for name in (SCHEDULER, CONTROLLERS, cloud.NAME)}
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler(paths.kubeconfigs / "scheduler.conf", clock, elections[SCHEDULER]))
            grace_s = settings.node_monitor_grace_s
            elected, tokens = elections[CONTROLLERS], FileTokenSigner(paths.pki / "sa.key")
            manager = controller_manager(config, ca, settings.cluster_cidr, clock, elected, signer, grace_s, tokens)
            group.create_task(manager)
            cloud_config = paths.kubeconfigs / "cloud-controller-manager.conf"
            group.create_task(cloud.of_cluster(cloud_config, settings, clock, elections[cloud.NAME]))
    except* LeadershipLost:
        log.error("leaderelection lost, the control plane starts anew")


@contextlib.asynccontextmanager
async def _closed(transport: HttpTransport) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await transport.close()
