"""Rows of rbac.authorization.k8s.io/v1: bindings. Roles print with the default table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from steersman.api.kinds import TableSpec
from steersman.api.printers.cells import AGE, NAME, age, col, spec, wide
from steersman.machinery.meta import Obj, name_of


def _binding(obj: Obj, now: datetime) -> list[Any]:
    role = obj.get("roleRef") or {}
    users, groups, accounts = [], [], []
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        match subject.get("kind"):
            case "User":
                users.append(name)
            case "Group":
                groups.append(name)
            case "ServiceAccount":
                accounts.append(f"{subject.get('namespace', '')}/{name}")
    return [
        name_of(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        age(obj, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    ]


_BINDING = spec(_binding, NAME, col("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts"))

TABLES: dict[str, TableSpec] = {"RoleBinding": _BINDING, "ClusterRoleBinding": _BINDING}
