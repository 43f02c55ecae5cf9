"""The deployment controller: rollouts by way of ReplicaSets.

arithmetic.py has the numbers, replicasets.py the objects, progress.py the status, sync.py the order of steps.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from steersman.controllers.deployment.replicasets import is_recreate
from steersman.controllers.deployment.sync import reconcile
from steersman.loop import claims
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, controller_of, key_of, namespace_of


def _recreating(pod: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Pods matter only to a Recreate deployment, which waits for the last old one to go."""
    ref = controller_of(pod)
    if ref is None or ref.get("kind") != REPLICA_SETS.kind:
        return ()
    rs = snapshot.get(REPLICA_SETS, namespace_of(pod), ref["name"])
    owner = controller_of(rs) if rs is not None else None
    if owner is None or owner.get("kind") != DEPLOYMENTS.kind:
        return ()
    deployment = snapshot.get(DEPLOYMENTS, namespace_of(pod), owner["name"])
    return (key_of(deployment),) if deployment is not None and is_recreate(deployment) else ()


SPEC = ControllerSpec(
    name="deployment-controller",
    watches=(
        Watch(DEPLOYMENTS, keys=lambda obj: (key_of(obj),)),
        Watch(REPLICA_SETS, keys_with=claims.owner_keys(DEPLOYMENTS, claims.matches_label_selector), indexes=claims.ORPHANS),
        Watch(PODS, keys_with=_recreating),
    ),
    reconcile=reconcile,
    max_retries=15,
)
