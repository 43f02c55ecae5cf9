"""The node's lease: the cheap heartbeat (KEP-589). Source: component-helpers apimachinery/lease."""

from __future__ import annotations

import logging

from steersman.api.resources import LEASES
from steersman.client.interface import Client
from steersman.kubelet.config import KubeletConfig
from steersman.kubelet.kit import NodeFacts
from steersman.machinery.clock import Clock
from steersman.machinery.errors import NotFound, StatusError
from steersman.machinery.meta import Obj, format_micro_time, uid_of
from steersman.machinery.waiting import Backoff

log = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
_MAX_RETRY_S = 7.0


async def renew_forever(client: Client, clock: Clock, config: KubeletConfig, facts: NodeFacts) -> None:
    """Renew four times per lease duration, until cancelled; sooner after a failure, since being late costs the node its pods."""
    lease: Obj | None = None
    backoff = Backoff(0.2, _MAX_RETRY_S)
    while True:
        try:
            lease = await _renew(client, clock, config, facts, lease)
            backoff.reset()
            pause_s = config.node_lease_duration_s / 4
        except (StatusError, ConnectionError) as error:
            log.warning("node lease not renewed node=%s error=%s", config.node_name, error)
            lease = None
            pause_s = min(backoff.next(), config.node_lease_duration_s / 4)
        await clock.sleep(pause_s)


async def _renew(client: Client, clock: Clock, config: KubeletConfig, facts: NodeFacts, lease: Obj | None) -> Obj:
    name = config.node_name
    spec: Obj = {
        "holderIdentity": name,
        "leaseDurationSeconds": config.node_lease_duration_s,
        "renewTime": format_micro_time(clock.now()),
    }
    if lease is None:
        try:
            lease = await client.get(LEASES, name, NAMESPACE)
        except NotFound:
            made: Obj = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": spec,
            }
            if facts.node is not None:
                owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(facts.node)}
                made["metadata"]["ownerReferences"] = [owner]
            return await client.create(LEASES, made)
    return await client.update(LEASES, {**lease, "spec": {**(lease.get("spec") or {}), **spec}})
