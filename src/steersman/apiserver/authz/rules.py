"""RBAC policy rules, compiled: what one rule lets its holder do. Pure.

Source: upstream plugin/pkg/auth/authorizer/rbac and pkg/apis/rbac/v1/evaluation_helpers.go; KEP-1513 for `*/scale` forms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from steersman.machinery.meta import Obj

ANY = frozenset(("",))
"""The answer of RuleSet.names: every object, also unnamed ones. Compared by identity."""
_NOTHING: frozenset[str] = frozenset()
_MEMO_LIMIT = 2048
"""Clients choose verbs and paths: what is remembered for them is bounded."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule. `names` empty: all objects. `urls` may end in `*`."""

    verbs: frozenset[str]
    groups: frozenset[str] = _NOTHING
    resources: frozenset[str] = _NOTHING
    names: frozenset[str] = _NOTHING
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Obj) -> Rule:
        return cls(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
        )

    def matches(self, verb: str, group: str, plural: str, subresource: str) -> bool:
        """Whether the rule is about such a request; its names are left aside."""
        if verb not in self.verbs and "*" not in self.verbs:
            return False
        if group not in self.groups and "*" not in self.groups:
            return False
        resources = self.resources
        if "*" in resources:
            return True
        if not subresource:
            return plural in resources
        return f"{plural}/{subresource}" in resources or f"*/{subresource}" in resources

    def is_for(self, name: str) -> bool:
        """Whether the rule is about objects of that name."""
        return not self.names or name in self.names

    def matches_path(self, verb: str, path: str) -> bool:
        return (verb in self.verbs or "*" in self.verbs) and any(url_covers(url, path) for url in self.urls)


def url_covers(pattern: str, path: str) -> bool:
    """A nonResourceURL: exact, or a prefix when it ends in `*`."""
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


@dataclass(slots=True)
class RuleSet:
    """All rules one user holds in one namespace (or at the cluster scope), with answers remembered.

    `sources` are the PolicyRule objects as stored; `errors` what went wrong in collecting them (roles that don't exist);
    `origins` the (binding, subject) that each rule comes from.
    """

    sources: list[Obj]
    errors: list[str]
    origins: list[tuple[Obj, Obj]] = field(default_factory=list)
    rules: list[Rule] = field(init=False)
    _names: dict[tuple[str, str, str, str], frozenset[str]] = field(default_factory=dict)
    _paths: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rules = [Rule.of(source) for source in self.sources]

    def allows(self, verb: str, group: str, plural: str, subresource: str, name: str) -> bool:
        key = (verb, group, plural, subresource)
        names = self._names.get(key)
        if names is None:
            if len(self._names) >= _MEMO_LIMIT:
                self._names.clear()
            names = self._names[key] = _names(self.rules, *key)
        return names is ANY or name in names

    def allows_path(self, verb: str, path: str) -> bool:
        key = (verb, path)
        found = self._paths.get(key)
        if found is None:
            if len(self._paths) >= _MEMO_LIMIT:
                self._paths.clear()
            found = self._paths[key] = any(rule.matches_path(verb, path) for rule in self.rules)
        return found


def _names(rules: Iterable[Rule], verb: str, group: str, plural: str, subresource: str) -> frozenset[str]:
    """ANY if some rule allows the request for every object, else the names for which one does."""
    names: set[str] = set()
    for rule in rules:
        if rule.matches(verb, group, plural, subresource):
            if not rule.names:
                return ANY
            names |= rule.names
    return frozenset(names)
