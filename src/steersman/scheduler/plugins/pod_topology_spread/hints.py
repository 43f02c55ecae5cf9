"""When a pod that PodTopologySpread refused is worth another try (KEP-4247)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from steersman.machinery.meta import Obj, dig, labels_of, namespace_of, uid_of
from steersman.scheduler.framework import Event, Happening, Hint, always
from steersman.scheduler.podinfo import PodInfo
from steersman.scheduler.relations import Constraint


def _hard(pod: PodInfo) -> Sequence[Constraint]:
    return [item for item in pod.constraints if item.hard]


def _matched_by_all(pod: PodInfo, event: Event) -> bool:
    """A pod came or went that all constraints count."""
    other = event.new or event.old or {}
    if namespace_of(other) != pod.group.namespace:
        return False
    return all(item.selector.matches(labels_of(other)) for item in _hard(pod))


def _matching_changed(pod: PodInfo, event: Event) -> bool:
    old, new = event.old or {}, event.new or {}
    if namespace_of(new) != pod.group.namespace:
        return False
    return any(item.selector.matches(labels_of(old)) != item.selector.matches(labels_of(new)) for item in _hard(pod))


def _own_labels_changed(pod: PodInfo, event: Event) -> bool:
    return _is_own(pod, event) and _matching_changed(pod, event)


def _own_tolerations_matter(pod: PodInfo, event: Event) -> bool:
    return _is_own(pod, event) and any(item.honor_taints for item in _hard(pod))


def _is_own(pod: PodInfo, event: Event) -> bool:
    return uid_of(event.new or {}) == pod.uid


def _has_keys(pod: PodInfo, node: Obj | None) -> bool:
    return node is not None and all(item.topology_key in labels_of(node) for item in _hard(pod))


def _node_counts(pod: PodInfo, event: Event) -> bool:
    """A node with all keys came or went."""
    return _has_keys(pod, event.new or event.old)


def _keys_changed(pod: PodInfo, event: Event) -> bool:
    before, after = _has_keys(pod, event.old), _has_keys(pod, event.new)
    if before != after:
        return True
    old, new = labels_of(event.old or {}), labels_of(event.new or {})
    return after and any(old.get(item.topology_key) != new.get(item.topology_key) for item in _hard(pod))


def _taints_matter(pod: PodInfo, event: Event) -> bool:
    if not _has_keys(pod, event.new) or dig(event.old, "spec", "taints") == dig(event.new, "spec", "taints"):
        return False
    return any(item.honor_taints for item in _hard(pod))


def _or_defaults(hint: Hint) -> Hint:
    """Pods refused on default constraints carry none themselves: anything may help them."""
    return lambda pod, event: hint(pod, event) if pod.constraints else always(pod, event)


HINTS: Mapping[Happening, Hint] = {
    happening: _or_defaults(hint)
    for happening, hint in {
        Happening.ASSIGNED_POD_ADD: _matched_by_all,
        Happening.ASSIGNED_POD_DELETE: _matched_by_all,
        Happening.ASSIGNED_POD_LABEL: _matching_changed,
        Happening.POD_LABEL: _own_labels_changed,
        Happening.POD_TOLERATION: _own_tolerations_matter,
        Happening.NODE_ADD: _node_counts,
        Happening.NODE_DELETE: _node_counts,
        Happening.NODE_LABEL: _keys_changed,
        Happening.NODE_TAINT: _taints_matter,
    }.items()
}
