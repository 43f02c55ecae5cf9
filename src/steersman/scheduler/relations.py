"""What pods say of other pods: affinity terms and topology spread constraints, parsed; and the groups selectors see.

Source: core/v1 PodAffinityTerm, TopologySpreadConstraint; KEP-895, KEP-3022 (minDomains), KEP-3094 (node inclusion
policies), KEP-3243 (matchLabelKeys). Not here: what follows from them (the plugins).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from steersman.machinery.labels import IN, Requirement, Selector, from_label_selector, nothing
from steersman.machinery.meta import Obj, dig

NamespaceLabels = Mapping[str, Mapping[str, str]]
"""Labels of each namespace, by its name."""

_REQUIRED, _PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Group:
    """Pods that no selector can tell apart. Shared by them, so compared by identity."""

    namespace: str
    labels: Mapping[str, str]
    terminating: bool


@dataclass(frozen=True, slots=True)
class Term:
    """A pod affinity or anti-affinity term: which pods it means, and what counts as one place. `weight` if preferred."""

    topology_key: str
    selector: Selector
    namespaces: frozenset[str]
    namespace_selector: Selector
    weight: int = 0

    def matches(self, group: Group, namespaces: NamespaceLabels) -> bool:
        if not self.selector.matches(group.labels):
            return False
        return group.namespace in self.namespaces or self.namespace_selector.matches(namespaces.get(group.namespace, {}))

    def may_match(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """The same without knowing the labels of namespaces: those that a selector might choose count as chosen."""
        if not self.selector.matches(labels):
            return False
        return namespace in self.namespaces or self.namespace_selector != nothing()


class Role(Enum):
    """As what a term was written. Preferred anti-affinity is preferred affinity of negative weight."""

    AFFINITY = "requiredAffinity"
    ANTI = "requiredAntiAffinity"
    PREFERRED = "preferred"


RoleTerm = tuple[Role, Term]


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All terms of a pod. Pods made from one template share it, so compared by identity."""

    all: tuple[RoleTerm, ...] = ()

    def of(self, role: Role) -> tuple[Term, ...]:
        return tuple(term for found, term in self.all if found is role)

    def __bool__(self) -> bool:
        return bool(self.all)


NO_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Constraint:
    """One topology spread constraint. `hard`: DoNotSchedule."""

    topology_key: str
    max_skew: int
    hard: bool
    selector: Selector
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


def terms_of(spec: Obj, namespace: str) -> Terms:
    affinity = spec.get("affinity") or {}
    if not affinity.get("podAffinity") and not affinity.get("podAntiAffinity"):
        return NO_TERMS
    return Terms(tuple(_role_terms(affinity, namespace)))


def _role_terms(affinity: Obj, namespace: str) -> Iterator[RoleTerm]:
    for section, role, sign in (("podAffinity", Role.AFFINITY, 1), ("podAntiAffinity", Role.ANTI, -1)):
        for term in dig(affinity, section, _REQUIRED, default=()):
            yield role, _term(term, namespace)
        for item in dig(affinity, section, _PREFERRED, default=()):
            yield Role.PREFERRED, _term(item.get("podAffinityTerm") or {}, namespace, sign * int(item.get("weight") or 0))


def _term(term: Obj, own_namespace: str, weight: int = 0) -> Term:
    names, selector = term.get("namespaces") or (), term.get("namespaceSelector")
    return Term(
        term.get("topologyKey") or "",
        _selector(term.get("labelSelector")),
        frozenset(names) if names or selector is not None else frozenset((own_namespace,)),
        _selector(selector),
        weight,
    )


def constraints_of(spec: Obj, labels: Mapping[str, str]) -> tuple[Constraint, ...]:
    return tuple(_constraint(item, labels) for item in spec.get("topologySpreadConstraints") or ())


def _constraint(item: Obj, labels: Mapping[str, str]) -> Constraint:
    return Constraint(
        topology_key=item.get("topologyKey") or "",
        max_skew=int(item.get("maxSkew") or 1),
        hard=item.get("whenUnsatisfiable") != "ScheduleAnyway",
        selector=_narrowed(_selector(item.get("labelSelector")), item.get("matchLabelKeys") or (), labels),
        min_domains=int(item.get("minDomains") or 1),
        honor_affinity=item.get("nodeAffinityPolicy") != "Ignore",
        honor_taints=item.get("nodeTaintsPolicy") == "Honor",
    )


def _narrowed(selector: Selector, keys: Sequence[str], labels: Mapping[str, str]) -> Selector:
    """Only pods that have the same values under these keys. (Our API server has written that into the selector already.)"""
    wanted = [Requirement(key, IN, (labels[key],)) for key in keys if key in labels]
    if not wanted or selector == nothing():
        return selector
    return Selector([*selector.requirements, *(item for item in wanted if item not in selector.requirements)])


def _selector(selector: Obj | None) -> Selector:
    try:
        return from_label_selector(selector)
    except ValueError:
        # Validation lets none of these in; should one be there all the same, it means no pod.
        return nothing()
