"""Conflicts of server-side apply as the Status that clients get. Source: apimachinery, managedfields/internal/conflict.go."""

from __future__ import annotations

from itertools import groupby

from steersman.machinery.apply import elements
from steersman.machinery.apply.managers import UPDATE, ManagerId
from steersman.machinery.apply.updater import Conflicts
from steersman.machinery.errors import Conflict
from steersman.machinery.meta import Obj


def error_of(conflicts: Conflicts) -> Conflict:
    found = [(who, elements.text(path)) for who, path in conflicts.found]
    causes: list[Obj] = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_name(who)}", "field": path} for who, path in found
    ]
    if len(found) == 1:
        who, path = found[0]
        return Conflict(f"Apply failed with 1 conflict: conflict with {_name(who)}: {path}", details={"causes": causes})
    lines: list[str] = []
    for who, group in groupby(found, key=lambda item: item[0]):
        lines.append(f"conflicts with {_name(who)}:")
        lines += [f"- {path}" for _, path in group]
    return Conflict(f"Apply failed with {len(found)} conflicts: " + "\n".join(lines), details={"causes": causes})


def _name(who: ManagerId) -> str:
    shown = f'"{who.name}"'
    if who.subresource:
        shown += f' with subresource "{who.subresource}"'
    return f"{shown} using {who.api_version}" if who.operation == UPDATE else shown
