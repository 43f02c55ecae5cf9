"""The annotation in which `apply` keeps what was applied last, so that the next time it knows what was taken away."""

from __future__ import annotations

from typing import Any

import orjson

from steersman.cli.kubectl.errors import KubectlError
from steersman.machinery.meta import Obj, annotations_of

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


def encoded(obj: Obj) -> str:
    """The object as the annotation holds it: JSON in one line, without the annotation itself."""
    meta = dict(obj.get("metadata") or {})
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != ANNOTATION}
    # Upstream writes an empty map here even if the object has no annotations: the annotation's value is compared as text.
    meta["annotations"] = annotations
    return orjson.dumps({**obj, "metadata": meta}, option=orjson.OPT_SORT_KEYS).decode() + "\n"


def annotate(obj: Obj) -> Obj:
    """A copy that carries its own configuration."""
    meta = dict(obj.get("metadata") or {})
    meta["annotations"] = {**(meta.get("annotations") or {}), ANNOTATION: encoded(obj)}
    return {**obj, "metadata": meta}


def read(obj: Obj) -> dict[str, Any] | None:
    """What was applied last; None if nothing ever was."""
    text = annotations_of(obj).get(ANNOTATION)
    if not text:
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise KubectlError(f"the annotation {ANNOTATION} holds no JSON: {error}") from None
    return dict(found)
