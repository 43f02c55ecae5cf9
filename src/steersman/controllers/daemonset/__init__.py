"""The daemon set controller: a pod on every node that should have one.

nodes.py says which nodes those are, pods.py makes the pods, sync.py keeps them, update.py replaces outdated ones, status.py
counts. The scheduler binds the pods; each names its node as required affinity. Source: upstream pkg/controller/daemon.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from steersman.controllers.daemonset.sync import Keeper
from steersman.loop import claims
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, key_of


def _all(node: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """A node's heartbeats are in its Lease, so its changes are few enough to ask every set."""
    return [key_of(owner) for owner in snapshot.list(DAEMON_SETS)]


def spec() -> ControllerSpec:
    owned = claims.owner_keys(DAEMON_SETS, claims.matches_label_selector)
    return ControllerSpec(
        name="daemonset-controller",
        watches=(
            Watch(DAEMON_SETS, keys=lambda obj: (key_of(obj),)),
            Watch(PODS, keys_with=owned, indexes=claims.ORPHANS),
            Watch(CONTROLLER_REVISIONS, keys_with=owned, indexes=claims.ORPHANS),
            Watch(NODES, keys_with=_all),
        ),
        reconcile=Keeper().reconcile,
        workers=2,
    )
