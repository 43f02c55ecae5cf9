"""Which policies are in force, each with its bindings: followed in the watch caches, so a change holds from the next request on.

A policy without a binding is not in force. Only what has changed is compiled again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from steersman.apiserver.admission.policies.compiled import Policy, compiled
from steersman.apiserver.contracts import Lister, Listers
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, resource_version_of, uid_of


class Hook(NamedTuple):
    """bindings: at least one."""

    policy: Policy
    bindings: Sequence[Obj]


class Hooks:
    """Those of one sort of policies. `current` costs two comparisons while nothing changes."""

    def __init__(self, listers: Listers, policies: Resource, bindings: Resource) -> None:
        self._policies: Lister = listers(policies)
        self._bindings: Lister = listers(bindings)
        self._seen = (0, 0)
        self._hooks: Sequence[Hook] = ()
        self._compiled: dict[tuple[str, int], Policy] = {}

    def current(self) -> Sequence[Hook]:
        """In the order of their names."""
        seen = (self._policies.version, self._bindings.version)
        if seen != self._seen:
            self._hooks, self._seen = self._made(), seen
        return self._hooks

    def _made(self) -> Sequence[Hook]:
        bound: dict[str, list[Obj]] = {}
        for binding in sorted(self._bindings.list(), key=name_of):
            bound.setdefault(str((binding.get("spec") or {}).get("policyName") or ""), []).append(binding)
        known, self._compiled = self._compiled, {}
        made: list[Hook] = []
        for obj in sorted(self._policies.list(), key=name_of):
            bindings = bound.get(name_of(obj))
            if not bindings:
                continue
            key = (uid_of(obj), int((obj.get("metadata") or {}).get("generation") or resource_version_of(obj)))
            policy = known.get(key) or compiled(obj)
            self._compiled[key] = policy
            made.append(Hook(policy, bindings))
        return made
