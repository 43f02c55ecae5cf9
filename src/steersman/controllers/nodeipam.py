"""The node IPAM controller: each node a range of pod addresses out of the cluster's.

One key stands for all nodes: as a key waits until its own writes are seen, no range is ever given twice. A deleted node's
range is free again. Source: upstream pkg/controller/nodeipam, range allocator.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeAlias

from steersman.api.resources import NODES
from steersman.loop.spec import Action, ControllerSpec, Decision, Emit, Patch, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, dig, is_deleting, name_of, uid_of

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
_ALL: Key = ("", "")
_MASK = {4: 24, 6: 64}


def spec(cluster_cidr: str) -> ControllerSpec:
    """`cluster_cidr`: one network, or one of each family with a comma between. A node gets a /24 of IPv4 and a /64 of IPv6."""
    networks = [ipaddress.ip_network(text.strip()) for text in cluster_cidr.split(",")]

    def reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
        return allocate(snapshot.list(NODES), networks)

    return ControllerSpec(
        name="node-ipam-controller",
        reports_as="cidrAllocator",
        watches=(Watch(NODES, keys_with=_unsettled),),
        reconcile=reconcile,
        workers=1,
    )


def _unsettled(node: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Nodes that need a range, and nodes that are gone and leave one."""
    gone = snapshot.get(NODES, "", name_of(node)) is None
    return (_ALL,) if gone or not cidrs_of(node) else ()


def cidrs_of(node: Obj) -> list[str]:
    found: list[str] = dig(node, "spec", "podCIDRs", default=[])
    first = dig(node, "spec", "podCIDR")
    return found or ([first] if first else [])


def allocate(nodes: Sequence[Obj], networks: Sequence[Network]) -> Decision:
    """Ranges for all nodes that have none, oldest node first."""
    taken = [ipaddress.ip_network(cidr, strict=False) for node in nodes for cidr in cidrs_of(node)]
    waiting = [node for node in nodes if not cidrs_of(node) and not is_deleting(node)]
    free = [_free(network, taken) for network in networks]
    actions: list[Action] = []
    for node in sorted(waiting, key=lambda item: (dig(item, "metadata", "creationTimestamp", default=""), name_of(item))):
        cidrs = [next(ranges, None) for ranges in free]
        given = [cidr for cidr in cidrs if cidr is not None]
        if len(given) < len(free):
            message = f"Node {name_of(node)} status is now: CIDRNotAvailable"
            actions.append(Emit(node, "Normal", "CIDRNotAvailable", message))
            continue
        patch = {"metadata": {"uid": uid_of(node)}, "spec": {"podCIDR": given[0], "podCIDRs": given}}
        actions.append(Patch(NODES, "", name_of(node), patch))
    return Decision(actions)


def _free(network: Network, taken: Sequence[Network]) -> Iterator[str]:
    mask = max(_MASK[network.version], network.prefixlen)
    same = {other for other in taken if other.prefixlen == mask}
    # Ranges that somebody gave by hand may be of any size.
    odd = [other for other in taken if other.prefixlen != mask and other.version == network.version]
    for subnet in network.subnets(new_prefix=mask):
        if subnet not in same and not any(_overlap(subnet, other) for other in odd):
            yield str(subnet)


def _overlap(one: Network, other: Network) -> bool:
    return one.network_address in other or other.network_address in one
