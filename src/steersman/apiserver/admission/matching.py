"""Which requests webhooks and policies are about: rules, selectors, and the same resource under other names (matchPolicy).

Shared by webhooks/ and policies/. Made once of what a configuration says, asked on every write, so the rules come first: nothing
is looked up for a request that they do not name. Not here: match conditions (CEL), and objects in other versions (versions.py).
Source: upstream apiserver/pkg/admission/plugin/{webhook/predicates,policy/matching}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from steersman.api.groups.admissionregistration_v1 import GROUP
from steersman.api.resources import NAMESPACES
from steersman.apiserver.contracts import LOOPBACK, AdmissionRequest
from steersman.apiserver.lookup import Lookup
from steersman.machinery import labels
from steersman.machinery.errors import NotFound
from steersman.machinery.gvk import Resource
from steersman.machinery.labels import Selector
from steersman.machinery.meta import Obj, labels_of

EVERY = "*"
_EXEMPT = frozenset(
    (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    )
)


class Equivalents(Protocol):
    """What is the same under other names: another version, or another group."""

    def equivalents(self, resource: Resource) -> Sequence[Resource]:
        """The other resources that are stored as this one is."""


def is_the_servers_own(request: AdmissionRequest) -> bool:
    """What the server writes itself, at its start above all: a webhook that runs in this cluster, or a policy that refuses
    everything, would else keep it from starting, and nobody could put that right. (Upstream serves before it writes.)
    """
    return request.user is LOOPBACK


def is_exempt(resource: Resource) -> bool:
    """The configuration of admission itself: else nobody could put right what refuses everything."""
    return resource.group == GROUP and resource.plural in _EXEMPT


class Rule:
    """A RuleWithOperations, or one with resourceNames."""

    __slots__ = ("_operations", "_groups", "_versions", "_resources", "_scope", "_names")

    def __init__(self, rule: Obj) -> None:
        self._operations = _wanted(rule.get("operations"))
        self._groups = _wanted(rule.get("apiGroups"))
        self._versions = _wanted(rule.get("apiVersions"))
        self._resources = tuple(value.partition("/")[::2] for value in rule.get("resources") or ())
        self._scope = rule.get("scope") or EVERY
        self._names = frozenset(rule.get("resourceNames") or ())

    def matches(self, request: AdmissionRequest, resource: Resource) -> bool:
        """resource: what the request is taken to be about, its own or an equivalent."""
        return (
            (self._operations is None or request.operation in self._operations)
            and (self._groups is None or resource.group in self._groups)
            and (self._versions is None or resource.version in self._versions)
            and self._names_resource(resource.plural, request.subresource)
            and (self._scope == EVERY or (self._scope == "Namespaced") == _is_namespaced(request))
            and (not self._names or request.name in self._names)
        )

    def _names_resource(self, plural: str, subresource: str) -> bool:
        return any(wanted in (EVERY, plural) and part in (EVERY, subresource) for wanted, part in self._resources)


def _wanted(values: Sequence[str] | None) -> frozenset[str] | None:
    """None for anything."""
    found = frozenset(values or ())
    return None if EVERY in found else found


def _is_namespaced(request: AdmissionRequest) -> bool:
    """A namespace is in none."""
    return bool(request.namespace) and request.resource.plural != NAMESPACES.plural


class Rules:
    """Those of one webhook, or of one MatchResources. `exact`: matchPolicy Exact."""

    __slots__ = ("_rules", "_exact")

    def __init__(self, rules: Sequence[Obj] | None, *, exact: bool) -> None:
        self._rules = tuple(Rule(rule) for rule in rules or ())
        self._exact = exact

    @property
    def empty(self) -> bool:
        return not self._rules

    def match(self, request: AdmissionRequest, equivalents: Equivalents) -> Resource | None:
        """As what the request matches: its own resource if it can, else (matchPolicy Equivalent) one that is the same."""
        own = request.resource
        if self._any(request, own):
            return own
        if self._exact:
            return None
        for other in equivalents.equivalents(own):
            if self._any(request, other):
                return other
        return None

    def _any(self, request: AdmissionRequest, resource: Resource) -> bool:
        return any(rule.matches(request, resource) for rule in self._rules)


@dataclass(frozen=True, slots=True)
class Selectors:
    """namespaceSelector and objectSelector."""

    namespaces: Selector
    objects: Selector

    @classmethod
    def of(cls, found: Obj) -> Selectors:
        return cls(*(labels.from_label_selector(found.get(key) or {}) for key in ("namespaceSelector", "objectSelector")))

    async def match(self, request: AdmissionRequest, lookup: Lookup) -> bool:
        """Raises NotFound for a namespace that is not there."""
        if not self.objects.empty and not self._has(request):
            return False
        if self.namespaces.empty or not (request.namespace or request.resource.plural == NAMESPACES.plural):
            return True
        return self.namespaces.matches(await _namespace_labels(request, lookup))

    def _has(self, request: AdmissionRequest) -> bool:
        """Whether the object is selected as it was or as it will be."""
        found = (obj for obj in (request.obj, request.old) if obj is not None)
        return any(self.objects.matches(labels_of(obj)) for obj in found)


async def _namespace_labels(request: AdmissionRequest, lookup: Lookup) -> Mapping[str, str]:
    if request.resource.plural == NAMESPACES.plural and not request.subresource:
        own = request.old if request.obj is None else request.obj
        if own is not None:
            return labels_of(own)
    found = await lookup.get(NAMESPACES, "", request.namespace or request.name)
    if found is None:
        raise NotFound.of("", NAMESPACES.plural, request.namespace or request.name)
    return labels_of(found)


class MatchResources:
    """The matchConstraints of a policy, the matchResources of a binding. Without rules it is about everything."""

    __slots__ = ("_selectors", "_rules", "_excluded")

    def __init__(self, found: Obj) -> None:
        exact = found.get("matchPolicy") == "Exact"
        self._selectors = Selectors.of(found)
        self._rules = Rules(found.get("resourceRules"), exact=exact)
        self._excluded = Rules(found.get("excludeResourceRules"), exact=exact)

    async def match(self, request: AdmissionRequest, equivalents: Equivalents, lookup: Lookup) -> Resource | None:
        """As what the request matches. Raises NotFound for a namespace that is not there."""
        if not self._excluded.empty and self._excluded.match(request, equivalents) is not None:
            return None
        found = request.resource if self._rules.empty else self._rules.match(request, equivalents)
        if found is None or not await self._selectors.match(request, lookup):
            return None
        return found
