"""The RBAC evaluator: which rules a user holds, from the bindings and roles in the watch cache.

Bindings are indexed by subject, per namespace and lazily; the rules of a user are collected once and kept until a role or a
binding changes, so that an ordinary question costs two dictionary look-ups. What is not here: matching one rule (rules.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from steersman.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from steersman.apiserver.authz.rules import RuleSet
from steersman.apiserver.contracts import Listers, RequestInfo, UserInfo, Verdict
from steersman.machinery.gvk import Resource
from steersman.machinery.meta import Obj, name_of, namespace_of

_SETS_LIMIT = 8192

_Subject = tuple[str, str]
"""(User or Group, name); a service account is the user it authenticates as."""
_Held = tuple[Obj, Obj]
"""(a binding, the one of its subjects that matched)"""
_Index = dict[_Subject, list[_Held]]


class RBAC:
    """Authorizer over Roles, ClusterRoles and their bindings."""

    def __init__(self, listers: Listers) -> None:
        self._roles, self._role_bindings = listers(ROLES), listers(ROLE_BINDINGS)
        self._cluster_roles, self._cluster_bindings = listers(CLUSTER_ROLES), listers(CLUSTER_ROLE_BINDINGS)
        self._versions = (-1, -1, -1, -1)
        self._indexes: dict[str, _Index] = {}
        self._sets: dict[tuple[str, tuple[str, ...], str], RuleSet] = {}

    async def authorize(self, user: UserInfo, info: RequestInfo) -> tuple[Verdict, str]:
        if info.is_resource:
            rules = self.rules_for(user, info.namespace)
            allowed = rules.allows(info.verb, info.group, info.plural, info.subresource, info.name)
        else:
            rules = self.rules_for(user, "")
            allowed = rules.allows_path(info.verb, info.path)
        if allowed:
            return Verdict.ALLOW, ""
        return Verdict.NO_OPINION, f"RBAC: {joined(rules.errors)}" if rules.errors else ""

    def rules_for(self, user: UserInfo, namespace: str) -> RuleSet:
        """Everything the user holds there; namespace "" is the cluster scope."""
        versions = (
            self._cluster_bindings.version,
            self._role_bindings.version,
            self._cluster_roles.version,
            self._roles.version,
        )
        if versions != self._versions or len(self._sets) >= _SETS_LIMIT:
            if versions[:2] != self._versions[:2]:
                self._indexes.clear()
            self._versions = versions
            self._sets.clear()
        key = (user.name, user.groups, namespace)
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = self._collect(user, namespace)
        return found

    def _collect(self, user: UserInfo, namespace: str) -> RuleSet:
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        sources: list[Obj] = []
        origins: list[_Held] = []
        errors: list[str] = []
        for scope in ("", namespace) if namespace else ("",):
            for held in _bound(self._index(scope), subjects):
                rules = self.role_rules(held[0].get("roleRef") or {}, scope)
                if isinstance(rules, str):
                    errors.append(rules)
                else:
                    sources += rules
                    origins += [held] * len(rules)
        return RuleSet(sources, errors, origins)

    def _index(self, namespace: str) -> _Index:
        index = self._indexes.get(namespace)
        if index is None:
            bindings = self._role_bindings.list(namespace) if namespace else self._cluster_bindings.list()
            index = self._indexes[namespace] = {}
            for binding in bindings:
                for subject in binding.get("subjects") or ():
                    index.setdefault(_subject(subject, namespace_of(binding)), []).append((binding, subject))
        return index

    def explain(self, user: UserInfo, info: RequestInfo) -> str:
        """Which binding allows it, as upstream's reason says; empty if none does."""
        held = self.rules_for(user, info.namespace if info.is_resource else "")
        for rule, (binding, subject) in zip(held.rules, held.origins):
            if info.is_resource:
                allowed = rule.matches(info.verb, info.group, info.plural, info.subresource) and rule.is_for(info.name)
            else:
                allowed = rule.matches_path(info.verb, info.path)
            if allowed:
                return f"RBAC: allowed by {_described(binding, subject)}"
        return ""

    def role_rules(self, ref: Obj, namespace: str) -> list[Obj] | str:
        """The rules of the role a binding points to, or the text that says it isn't there."""
        kind, name = str(ref.get("kind") or ""), str(ref.get("name") or "")
        if kind == "ClusterRole":
            role = self._cluster_roles.get("", name)
            resource: Resource = CLUSTER_ROLES
        elif kind == "Role":
            role = self._roles.get(namespace, name)
            resource = ROLES
        else:
            return f'unsupported role reference kind: "{kind}"'
        if role is None:
            return f'{resource.kind.lower()}.{resource.group} "{name}" not found'
        return role.get("rules") or []


def _subject(subject: Obj, namespace: str) -> _Subject:
    kind, name = str(subject.get("kind") or ""), str(subject.get("name") or "")
    if kind == "ServiceAccount":
        return "User", f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    return kind, name


def _bound(index: _Index, subjects: Iterable[_Subject]) -> Iterator[_Held]:
    """The bindings of any of the subjects, each once."""
    seen: set[int] = set()
    for subject in subjects:
        for held in index.get(subject, ()):
            if id(held[0]) not in seen:
                seen.add(id(held[0]))
                yield held


def _described(binding: Obj, subject: Obj) -> str:
    name, namespace = name_of(binding), namespace_of(binding)
    kind = ROLE_BINDINGS.kind if namespace else CLUSTER_ROLE_BINDINGS.kind
    ref = binding.get("roleRef") or {}
    who = str(subject.get("name") or "")
    if subject.get("kind") == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or namespace}"
    what = f"{name}/{namespace}" if namespace else name
    return f'{kind} "{what}" of {ref.get("kind")} "{ref.get("name")}" to {subject.get("kind")} "{who}"'


def joined(texts: list[str]) -> str:
    """One text as it is, several as `[a, b]`: how upstream prints an aggregate of errors."""
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
