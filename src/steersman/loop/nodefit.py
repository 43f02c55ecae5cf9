"""Whether a node suits a pod by name, labels and taints: one node, one pod, for controllers.

Source: API docs, Assigning Pods to Nodes; Taints and Tolerations. The scheduler has its own form, over all nodes at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from steersman.machinery.meta import Obj, dig, labels_of, name_of


def tolerates(toleration: Mapping[str, object], taint: Mapping[str, object]) -> bool:
    """An empty effect or key of the toleration stands for all."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerates_all(tolerations: Sequence[Obj], node: Obj, effects: Collection[str]) -> bool:
    """Whether every taint of the node with one of those effects is tolerated."""
    return all(
        any(tolerates(toleration, taint) for toleration in tolerations)
        for taint in dig(node, "spec", "taints", default=())
        if taint.get("effect") in effects
    )


def is_selected(pod_spec: Obj, node: Obj) -> bool:
    """nodeSelector and the required node affinity."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = dig(pod_spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term(term: Obj, node: Obj) -> bool:
    """Expressions of a term all hold; a term without any matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    names = {"metadata.name": name_of(node)}
    return all(_holds(item, labels_of(node)) for item in expressions) and all(_holds(item, names) for item in fields)


def _holds(expression: Obj, values: Mapping[str, str]) -> bool:
    found, operator = values.get(expression["key"]), expression["operator"]
    listed: Sequence[str] = expression.get("values") or ()
    match operator:
        case "In":
            return found in listed
        case "NotIn":
            return found not in listed
        case "Exists":
            return found is not None
        case "DoesNotExist":
            return found is None
    try:
        number, bound = int(found or ""), int(listed[0])
    except (ValueError, IndexError):
        return False
    return number > bound if operator == "Gt" else number < bound
