"""From client-side to server-side apply: what kubectl's annotation says it applied before is no conflict for manager `kubectl`.

Source: apimachinery/pkg/util/managedfields/internal/lastapplied*.go. kubectl itself turns the entries of client-side apply into
its own.
"""

from __future__ import annotations

import orjson

from steersman.machinery import depth
from steersman.machinery.apply import fieldset
from steersman.machinery.apply.checking import faults
from steersman.machinery.apply.compare import compare
from steersman.machinery.apply.fieldset import FieldSet
from steersman.machinery.apply.sets import of_config
from steersman.machinery.apply.types import KeyFault
from steersman.machinery.apply.updater import Conflicts, Versions, Writer
from steersman.machinery.meta import Obj, annotations_of

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
_MANAGER = "kubectl"
_MOST_BYTES = 256 * 1024
"""Of all annotations together: more would be refused."""


def still_refused(refused: Conflicts, live: Obj, writer: Writer, versions: Versions) -> Conflicts | None:
    """The conflicts that remain; None if all are with what kubectl itself had applied."""
    allowed = _allowed(live, writer, versions) if writer.who.name == _MANAGER else None
    if allowed is None:
        return refused
    left = [(who, path) for who, path in refused.found if not _has(allowed, path)]
    return Conflicts(left) if left else None


def _has(fields: FieldSet, path: fieldset.Path) -> bool:
    node = fieldset.at(fields, *path)
    return node is not None and fieldset.is_member(node)


def _allowed(live: Obj, writer: Writer, versions: Versions) -> FieldSet | None:
    """What is live as the annotation says it was applied."""
    kind = versions.type_of(writer.api_version)
    try:
        applied = depth.loads((annotations_of(live).get(ANNOTATION) or "null").encode())
        if not isinstance(applied, dict) or applied.get("apiVersion") != writer.api_version or kind is None:
            return None
        if faults(applied, kind):
            return None
        found = compare(applied, live, kind)
        return fieldset.difference(fieldset.difference(of_config(applied, kind), found.touched), found.removed)
    except (ValueError, KeyFault):
        return None


def follow(obj: Obj, config: Obj, writer: Writer) -> None:
    """Keep the annotation true, in place, while there is one: client-side apply may come back."""
    annotations = annotations_of(obj)
    if writer.who.name != _MANAGER or ANNOTATION not in annotations:
        return
    meta = {**(config.get("metadata") or {})}
    if meta.get("annotations") is not None:
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != ANNOTATION}
    text = orjson.dumps({**config, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode() + "\n"
    others = sum(len(key) + len(value) for key, value in annotations.items() if key != ANNOTATION)
    # What would be too long is left empty, so that it says nothing wrong.
    annotations[ANNOTATION] = text if others + len(ANNOTATION) + len(text.encode()) <= _MOST_BYTES else ""
