"""rbac.authorization.k8s.io/v1: roles and bindings."""

from __future__ import annotations

from steersman.api import resources as r
from steersman.api.defaults import small as defaults
from steersman.api.kinds import KindSpec
from steersman.api.strategies import rbac

SCHEMA = "io.k8s.api.rbac.v1."

ROLES = KindSpec(resource=r.ROLES, schema=SCHEMA + "Role", strategy=rbac.ROLE)
ROLE_BINDINGS = KindSpec(
    resource=r.ROLE_BINDINGS, schema=SCHEMA + "RoleBinding", default=defaults.binding, strategy=rbac.ROLE_BINDING
)
CLUSTER_ROLES = KindSpec(resource=r.CLUSTER_ROLES, schema=SCHEMA + "ClusterRole", strategy=rbac.CLUSTER_ROLE)
CLUSTER_ROLE_BINDINGS = KindSpec(
    resource=r.CLUSTER_ROLE_BINDINGS,
    schema=SCHEMA + "ClusterRoleBinding",
    default=defaults.binding,
    strategy=rbac.CLUSTER_ROLE_BINDING,
)

KINDS: tuple[KindSpec, ...] = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
