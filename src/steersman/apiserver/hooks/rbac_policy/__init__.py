"""Upstream's default RBAC policy: the roles and bindings every cluster starts with.

The tables are data (cluster_roles.py, controller_roles.py); this module makes the objects. Writing them: hooks/rbac.py.
"""

from __future__ import annotations

from steersman.apiserver.hooks.rbac_policy import parse
from steersman.apiserver.hooks.rbac_policy.cluster_roles import CLUSTER_ROLES
from steersman.apiserver.hooks.rbac_policy.controller_roles import CONTROLLER_ROLES
from steersman.machinery.meta import Obj

GROUP = "rbac.authorization.k8s.io"
_VERSION = f"{GROUP}/v1"
_AGGREGATE_TO = "rbac.authorization.k8s.io/aggregate-to-"
_CONTROLLER = "system:controller:"
AGGREGATED = ("admin", "edit", "view")
"""Their rules are the union of the roles that carry the label aggregate-to-<name>."""
_PARTS = {
    "edit": "admin",
    "view": "edit",
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
    "system:aggregated-metrics-reader": "view",
}
_SUBJECTS = {
    "cluster-admin": "group system:masters",
    "system:basic-user": "group system:authenticated",
    "system:discovery": "group system:authenticated",
    "system:kube-controller-manager": "user system:kube-controller-manager",
    "system:kube-dns": "account kube-system/kube-dns",
    "system:kube-scheduler": "user system:kube-scheduler",
    "system:monitoring": "group system:monitoring",
    "system:node": "",
    "system:node-proxier": "user system:kube-proxy",
    "system:public-info-viewer": "group system:authenticated, group system:unauthenticated",
    "system:service-account-issuer-discovery": "group system:serviceaccounts",
    "system:volume-scheduler": "user system:kube-scheduler",
}
_EVENTS = "events"
_LOCK_RULES = ("create,get,list,update,watch coordination.k8s.io: leases",
               "create,get,list,update,watch coordination.k8s.io: leasecandidates")  # fmt: skip
_NAMESPACED: dict[tuple[str, str], tuple[str, ...]] = {
    ("kube-public", "system:controller:bootstrap-signer"): (
        "read core: configmaps",
        "update core: configmaps [cluster-info]",
        _EVENTS,
    ),
    ("kube-system", "extension-apiserver-authentication-reader"): ("read core: configmaps [extension-apiserver-authentication]",),
    ("kube-system", "system::leader-locking-kube-controller-manager"): _LOCK_RULES,
    ("kube-system", "system::leader-locking-kube-scheduler"): _LOCK_RULES,
    ("kube-system", "system:controller:bootstrap-signer"): ("read core: secrets",),
    ("kube-system", "system:controller:cloud-provider"): ("create,get,list,watch core: configmaps",),
    ("kube-system", "system:controller:token-cleaner"): ("delete,get,list,watch core: secrets", _EVENTS),
}
_NAMESPACED_SUBJECTS = {
    "extension-apiserver-authentication-reader": "user system:kube-controller-manager, user system:kube-scheduler",
    "system::leader-locking-kube-controller-manager": (
        "user system:kube-controller-manager, account kube-system/kube-controller-manager, "
        "account kube-system/leader-election-controller"
    ),
    "system::leader-locking-kube-scheduler": "user system:kube-scheduler, account kube-system/kube-scheduler",
    "system:controller:bootstrap-signer": "account kube-system/bootstrap-signer",
    "system:controller:cloud-provider": "account kube-system/cloud-provider",
    "system:controller:token-cleaner": "account kube-system/token-cleaner",
}


def cluster_roles() -> list[Obj]:
    """All default ClusterRoles. Aggregated ones come with the rules the aggregation gives at start."""
    tables = {**parse.roles(CLUSTER_ROLES), **_controller_rules()}
    made = [_role("ClusterRole", "", name, rules) for name, rules in tables.items()]
    made += [_aggregated(name, tables) for name in AGGREGATED]
    for role in made:
        part = _PARTS.get(role["metadata"]["name"])
        if part:
            role["metadata"]["labels"][_AGGREGATE_TO + part] = "true"
    return made


def cluster_role_bindings() -> list[Obj]:
    subjects = {**_SUBJECTS, **{name: f"account kube-system/{name.removeprefix(_CONTROLLER)}" for name in _controller_rules()}}
    return [_binding("ClusterRoleBinding", "", name, "ClusterRole", name, text) for name, text in subjects.items()]


def roles() -> list[Obj]:
    return [
        _role("Role", namespace, name, [parse.rule(text) for text in rules]) for (namespace, name), rules in _NAMESPACED.items()
    ]


def role_bindings() -> list[Obj]:
    """One per role, of the role's name; only the authentication reader's binding has the `system::` prefix."""
    made = []
    for namespace, role in _NAMESPACED:
        name = f"system::{role}" if role == "extension-apiserver-authentication-reader" else role
        made.append(_binding("RoleBinding", namespace, name, "Role", role, _NAMESPACED_SUBJECTS[role]))
    return made


def node_rules() -> list[Obj]:
    """What every kubelet may do: the rules of system:node."""
    return parse.roles(CLUSTER_ROLES)["system:node"]


def _controller_rules() -> dict[str, list[Obj]]:
    return {_CONTROLLER + name: rules for name, rules in parse.roles(CONTROLLER_ROLES).items()}


def _aggregated(name: str, tables: dict[str, list[Obj]]) -> Obj:
    rules: list[Obj] = []
    for part in _members(name):
        rules += [rule for rule in tables[part] if rule not in rules]
    made = _role("ClusterRole", "", name, rules)
    made["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {_AGGREGATE_TO + name: "true"}}]}
    return made


def _members(name: str) -> list[str]:
    """The roles with rules of their own that an aggregated role is made of, by name, aggregated members resolved."""
    found: list[str] = []
    for part in sorted(part for part, whole in _PARTS.items() if whole == name):
        found += _members(part) if part in AGGREGATED else [part]
    return found


def _metadata(namespace: str, name: str) -> Obj:
    made: Obj = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    }
    return {**made, "namespace": namespace} if namespace else made


def _role(kind: str, namespace: str, name: str, rules: list[Obj]) -> Obj:
    return {"apiVersion": _VERSION, "kind": kind, "metadata": _metadata(namespace, name), "rules": rules}


def _binding(kind: str, namespace: str, name: str, role_kind: str, role: str, subjects: str) -> Obj:
    made: Obj = {"apiVersion": _VERSION, "kind": kind, "metadata": _metadata(namespace, name)}
    made["roleRef"] = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    if subjects:
        made["subjects"] = [_subject(text) for text in subjects.split(", ")]
    return made


def _subject(text: str) -> Obj:
    """`user x`, `group x` or `account namespace/name`."""
    kind, _, name = text.partition(" ")
    if kind == "account":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": kind.capitalize(), "apiGroup": GROUP, "name": name}
