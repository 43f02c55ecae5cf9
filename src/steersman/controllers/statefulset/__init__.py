"""The stateful set controller: pods with ordinals that come, go and are replaced in order, each with claims of its own.

identity.py has names, pods and claims; retention.py whom claims belong to; plan.py which step comes next; sync.py carries it out;
status.py counts. Source: upstream pkg/controller/statefulset.
"""

from __future__ import annotations

from collections.abc import Iterable

from steersman.api.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from steersman.controllers.statefulset.sync import reconcile
from steersman.loop import claims
from steersman.loop.spec import ControllerSpec, Snapshot, Watch
from steersman.machinery.meta import Key, Obj, is_deleting, key_of, namespace_of


def _waiting_for(claim: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Only a claim on its way out is waited for: its pod can't be made before it is gone."""
    if not is_deleting(claim):
        return ()
    return [
        key_of(owner) for owner in snapshot.list(STATEFUL_SETS, namespace_of(claim)) if owner["spec"].get("volumeClaimTemplates")
    ]


_OWNED = claims.owner_keys(STATEFUL_SETS, claims.matches_label_selector)

SPEC = ControllerSpec(
    name="statefulset-controller",
    watches=(
        Watch(STATEFUL_SETS, keys=lambda obj: (key_of(obj),)),
        Watch(PODS, keys_with=_OWNED, indexes=claims.ORPHANS),
        Watch(CONTROLLER_REVISIONS, keys_with=_OWNED, indexes=claims.ORPHANS),
        Watch(PERSISTENT_VOLUME_CLAIMS, keys_with=_waiting_for),
    ),
    reconcile=reconcile,
)
