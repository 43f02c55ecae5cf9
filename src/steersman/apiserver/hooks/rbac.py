"""Writes the default RBAC policy (rbac_policy/) and keeps it whole: what is missing is added, what is more is left.

Source: upstream registry/rbac/rest and component-helpers/auth/rbac/reconciliation. An object whose annotation
`rbac.authorization.kubernetes.io/autoupdate` is "false" is left alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from steersman.apiserver.hooks import rbac_policy
from steersman.apiserver.hooks.ensure import ensure as ensure_objects
from steersman.client.interface import Client
from steersman.machinery.meta import Obj, annotations_of

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_DEFAULTS = "kubernetes.io/bootstrapping=rbac-defaults"


async def ensure(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        for resource, wanted in (
            (CLUSTER_ROLES, rbac_policy.cluster_roles()),
            (CLUSTER_ROLE_BINDINGS, rbac_policy.cluster_role_bindings()),
            (ROLES, rbac_policy.roles()),
            (ROLE_BINDINGS, rbac_policy.role_bindings()),
        ):
            group.create_task(ensure_objects(client, resource, wanted, merge=_merge, label_selector=_DEFAULTS))


def _merge(found: Obj, wanted: Obj) -> bool:
    if annotations_of(found).get(_AUTOUPDATE) == "false":
        return False
    changed = False
    for part in ("labels", "annotations"):
        whole = {**(found["metadata"].get(part) or {}), **wanted["metadata"][part]}
        changed |= whole != found["metadata"].get(part)
        found["metadata"][part] = whole
    if wanted.get("aggregationRule"):
        # The rules of an aggregated role are the aggregation controller's.
        rule = found.setdefault("aggregationRule", {})
        return _extend(rule, wanted["aggregationRule"], "clusterRoleSelectors") or changed
    return _extend(found, wanted, "rules") or _extend(found, wanted, "subjects") or changed


def _extend(found: Obj, wanted: Obj, key: str) -> bool:
    """Add the list entries that are missing."""
    have: list[Any] = found.get(key) or []
    missing = [item for item in wanted.get(key) or () if item not in have]
    if missing:
        found[key] = have + missing
    return bool(missing)
