"""When a pod that InterPodAffinity refused is worth another try (KEP-4247).

Hints do not know the labels of namespaces: a term that selects namespaces is taken to mean them all, which errs towards
trying again.
"""

from __future__ import annotations

from collections.abc import Mapping

from steersman.machinery.meta import Obj, labels_of, namespace_of, uid_of
from steersman.scheduler.framework import Event, Happening, Hint
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Role, Term, terms_of


def _matches(term: Term, pod: Obj) -> bool:
    return term.may_match(namespace_of(pod), labels_of(pod))


def _near_all(pod: PodInfo, other: Obj) -> bool:
    terms = pod.terms.of(Role.AFFINITY)
    return bool(terms) and all(_matches(term, other) for term in terms)


def _wanted_came(pod: PodInfo, event: Event) -> bool:
    return _near_all(pod, event.new or {})


def _became_wanted(pod: PodInfo, event: Event) -> bool:
    old, new = event.old or {}, event.new or {}
    if _near_all(pod, new) and not _near_all(pod, old):
        return True
    return any(_matches(term, old) and not _matches(term, new) for term in pod.terms.of(Role.ANTI))


def _blocker_went(pod: PodInfo, event: Event) -> bool:
    gone = event.old or {}
    if any(_matches(term, gone) for term in pod.terms.of(Role.ANTI)):
        return True
    theirs = terms_of(gone.get("spec") or {}, namespace_of(gone)).of(Role.ANTI)
    return any(term.may_match(pod.group.namespace, pod.group.labels) for term in theirs)


def _is_own(pod: PodInfo, event: Event) -> bool:
    return uid_of(event.new or {}) == pod.uid


def _keys_changed(pod: PodInfo, event: Event) -> bool:
    """A node has a key now, or another value. Pods without terms of their own are kept away by others': any node may help."""
    old, new = labels_of(event.old or {}), labels_of(event.new or {})
    keys = {term.topology_key for role in (Role.AFFINITY, Role.ANTI) for term in pod.terms.of(role)}
    return not keys or any(key in new and old.get(key) != new[key] for key in keys)


HINTS: Mapping[Happening, Hint] = {
    Happening.ASSIGNED_POD_ADD: _wanted_came,
    Happening.ASSIGNED_POD_LABEL: _became_wanted,
    Happening.ASSIGNED_POD_DELETE: _blocker_went,
    Happening.POD_LABEL: _is_own,
    Happening.NODE_ADD: _keys_changed,
    Happening.NODE_LABEL: _keys_changed,
}
