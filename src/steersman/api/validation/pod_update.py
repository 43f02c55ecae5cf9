"""What may change in a pod: by updates of the main resource, of its status, ephemeral containers and resources."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from steersman.api.equality import same
from steersman.api.validation.common import Errors
from steersman.api.validation.differences import difference
from steersman.api.validation.pod import APPARMOR_PREFIX, MIRROR, whole
from steersman.machinery.fielderrors import FieldError, forbidden, invalid
from steersman.machinery.meta import Obj, annotations_of

_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_ONLY_ADDITIONS = "only additions are allowed (no mutations or deletions)"
_SAME_TERMS = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"


def validate_pod_update(new: Obj, old: Obj) -> list[FieldError]:
    """Update of a pod itself."""
    errors: Errors = []
    spec, stored = new.get("spec") or {}, old.get("spec") or {}
    whole(errors, new)
    _annotations(errors, annotations_of(new), annotations_of(old))
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(stored.get(kind) or ()):
            errors.append(forbidden(f"spec.{kind}", "pod updates may not add or remove containers"))
            return errors
    _deadline(errors, spec.get("activeDeadlineSeconds"), stored.get("activeDeadlineSeconds"))
    _tolerations(errors, spec.get("tolerations") or (), stored.get("tolerations") or ())
    _gates(errors, spec.get("schedulingGates") or (), stored.get("schedulingGates") or ())
    allowed = _without_allowed(spec, stored)
    if stored.get("schedulingGates"):
        _while_gated(errors, spec, stored, allowed)
    if not same(allowed, stored):
        errors.append(forbidden("spec", f"{_IMMUTABLE}\n{difference(stored, allowed)}"))
    return errors


def _without_allowed(spec: Obj, stored: Obj) -> Obj:
    """The new spec with everything that may change put back; what still differs is forbidden."""
    allowed = dict(spec)
    for kind in ("containers", "initContainers"):
        if spec.get(kind):
            allowed[kind] = [{**new, "image": old.get("image")} for new, old in zip(spec[kind], stored[kind])]
    for key in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _take(allowed, stored, key)
    if stored.get("terminationGracePeriodSeconds", 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        _take(allowed, stored, "terminationGracePeriodSeconds")
    return allowed


def _take(target: Obj, source: Obj, key: str) -> None:
    if key in source:
        target[key] = source[key]
    else:
        target.pop(key, None)


def _annotations(errors: Errors, new: dict[str, str], old: dict[str, str]) -> None:
    if new == old:
        return
    for key, value in new.items():
        if old.get(key) == value:
            continue
        path = f"metadata.annotations[{key}]"
        if key.startswith(APPARMOR_PREFIX):
            errors.append(forbidden(path, f"may not {'add' if key not in old else 'remove or update'} AppArmor annotations"))
        elif key == MIRROR:
            verb = "add" if key not in old else "remove or update"
            errors.append(forbidden(path, f"may not {verb} mirror pod annotation"))
    for key in old.keys() - new.keys():
        path = f"metadata.annotations[{key}]"
        if key.startswith(APPARMOR_PREFIX):
            errors.append(forbidden(path, "may not remove or update AppArmor annotations"))
        elif key == MIRROR:
            errors.append(forbidden(path, "may not remove or update mirror pod annotation"))


def _deadline(errors: Errors, new: int | None, old: int | None) -> None:
    path = "spec.activeDeadlineSeconds"
    if old is None:
        return
    if new is None:
        errors.append(invalid(path, new, "must not update from a positive integer to nil value"))
    elif new > old:
        errors.append(invalid(path, new, "must be less than or equal to previous value"))


def _tolerations(errors: Errors, new: Sequence[Obj], old: Sequence[Obj]) -> None:
    """Every stored toleration stays; only its seconds may change."""

    def bare(items: Sequence[Obj]) -> list[Obj]:
        return [{key: value for key, value in item.items() if key != "tolerationSeconds"} for item in items]

    kept = bare(new)
    if any(item not in kept for item in bare(old)):
        text = "existing toleration can not be modified except its tolerationSeconds"
        errors.append(forbidden("spec.tolerations", text))


def _gates(errors: Errors, new: Sequence[Obj], old: Sequence[Obj]) -> None:
    known = {gate.get("name") for gate in old}
    for index, gate in enumerate(new):
        if gate.get("name") not in known:
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            errors.append(forbidden(f"spec.schedulingGates[{index}].name", text))


def _while_gated(errors: Errors, spec: Obj, stored: Obj, allowed: Obj) -> None:
    """A gated pod's node selector and node affinity may still be narrowed."""
    selector, before = spec.get("nodeSelector") or {}, stored.get("nodeSelector") or {}
    if selector != before:
        if any(selector.get(key) != value for key, value in before.items()):
            text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            errors.append(invalid("spec.nodeSelector", selector, text))
        _take(allowed, stored, "nodeSelector")
    affinity, earlier = spec.get("affinity") or {}, stored.get("affinity") or {}
    if same(affinity.get("nodeAffinity"), earlier.get("nodeAffinity")):
        return
    _node_affinity(errors, affinity.get("nodeAffinity") or {}, earlier.get("nodeAffinity") or {})
    kept = copy.copy(affinity)
    _take(kept, earlier, "nodeAffinity")
    if kept or "affinity" in stored:
        allowed["affinity"] = kept
    else:
        allowed.pop("affinity", None)


def _node_affinity(errors: Errors, new: Obj, old: Obj) -> None:
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    path = f"spec.affinity.nodeAffinity.{key}.nodeSelectorTerms"
    before = (old.get(key) or {}).get("nodeSelectorTerms") or []
    if not before:
        return
    terms = (new.get(key) or {}).get("nodeSelectorTerms") or []
    if len(terms) != len(before):
        errors.append(invalid(path, terms, _SAME_TERMS))
        return
    for index, (term, earlier) in enumerate(zip(terms, before)):
        for part in ("matchExpressions", "matchFields"):
            items, stored = term.get(part) or [], earlier.get(part) or []
            emptied = not (earlier.get("matchExpressions") or earlier.get("matchFields"))
            if items[: len(stored)] != stored or (emptied and items):
                errors.append(invalid(f"{path}[{index}]", term, _ONLY_ADDITIONS))
                break


def validate_ephemeral_update(new: Obj, old: Obj) -> list[FieldError]:
    """Update of the ephemeralcontainers subresource: containers are added, never changed."""
    errors: Errors = []
    if MIRROR in annotations_of(new):
        return [forbidden("", "static pods do not support ephemeral containers")]
    whole(errors, new)
    path = "spec.ephemeralContainers"
    found = {item.get("name"): item for item in (new.get("spec") or {}).get("ephemeralContainers") or ()}
    for item in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = item.get("name")
        if name not in found:
            errors.append(forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif not same(found[name], item):
            text = f'existing ephemeral containers "{name}" may not be changed\n{difference(item, found[name])}'
            errors.append(forbidden(path, text))
    return errors


def changed_keys(new: dict[str, Any], old: dict[str, Any]) -> set[str]:
    """Keys whose values differ."""
    return {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
