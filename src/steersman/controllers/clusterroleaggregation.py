"""The cluster role aggregation controller: the rules of a ClusterRole with an aggregationRule are those of the roles it selects.

Source: upstream pkg/controller/clusterroleaggregation; API docs, Aggregated ClusterRoles.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from steersman.api.resources import CLUSTER_ROLES
from steersman.loop.spec import ControllerSpec, Decision, Snapshot, Update, Watch
from steersman.machinery.labels import from_label_selector
from steersman.machinery.meta import Key, Obj, dig, is_deleting, key_of, labels_of, name_of, uid_of


def rules_of(role: Obj, roles: Iterable[Obj]) -> list[Obj]:
    """The selected roles' rules by the roles' names, each once."""
    selectors = [from_label_selector(item) for item in dig(role, "aggregationRule", "clusterRoleSelectors", default=())]
    rules: list[Obj] = []
    for other in sorted(roles, key=name_of):
        if uid_of(other) != uid_of(role) and any(selector.matches(labels_of(other)) for selector in selectors):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def _reconcile(snapshot: Snapshot, key: Key, now: datetime) -> Decision:
    role = snapshot.get(CLUSTER_ROLES, *key)
    if role is None or is_deleting(role) or not role.get("aggregationRule"):
        return Decision()
    rules = rules_of(role, snapshot.list(CLUSTER_ROLES))
    if rules == (role.get("rules") or []):
        return Decision()
    return Decision((Update(CLUSTER_ROLES, {**role, "rules": rules}),))


def _aggregated(role: Obj, snapshot: Snapshot) -> Iterable[Key]:
    """Whatever a role was or becomes, any aggregated one may select it."""
    return [key_of(other) for other in snapshot.list(CLUSTER_ROLES) if other.get("aggregationRule")]


SPEC = ControllerSpec(
    name="clusterrole-aggregation-controller",
    watches=(Watch(CLUSTER_ROLES, keys_with=_aggregated),),
    reconcile=_reconcile,
    workers=1,
)
