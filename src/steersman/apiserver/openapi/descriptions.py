"""Texts for `kubectl explain`, where the optional package that has them is installed (`steersman[explain]`).

They are upstream's, read from kubernetes-validate when the first OpenAPI document is made. Without it only the metadata that
every object has is explained, in words of our own.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import orjson

_SOURCE = "kubernetes-json-schema/v1.36.0-local/_definitions.json"

log = logging.getLogger(__name__)


class Texts(NamedTuple):
    """What a definition and its fields are for."""

    whole: str
    fields: dict[str, str]


_NONE = Texts("", {})
_OWN = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": Texts(
        "ObjectMeta is metadata that all stored objects have.",
        {
            "annotations": "Annotations are keys and values that tools keep with the object. They cannot be selected by.",
            "creationTimestamp": "CreationTimestamp is a timestamp that the server sets when it creates the object, in UTC.",
            "deletionGracePeriodSeconds": "Seconds that the object has to end, once deletionTimestamp is set. Read-only.",
            "deletionTimestamp": "DeletionTimestamp is when the object will be gone, once somebody has deleted it. Read-only.",
            "finalizers": "Names of those who have something to do before the object may go, and take themselves off then.",
            "generateName": "GenerateName is what the server makes a unique name of, where no name is given.",
            "generation": "A number that grows with every change of what is wanted. Read-only.",
            "labels": "Map of string keys and values that objects are organized and selected by.",
            "managedFields": "Who manages which fields of the object; kept by the server, for server-side apply.",
            "name": "Name must be unique among the objects of the kind in a namespace. It cannot be updated.",
            "namespace": "Namespace is the space in which the name must be unique. It cannot be updated.",
            "ownerReferences": "The objects that this one depends on: when all of them have been deleted, it is deleted too.",
            "resourceVersion": "The version of the object in the store: whoever updates it with an older one is refused.",
            "selfLink": "Not set any more.",
            "uid": "UID is unique in time and space: an object that is made anew under an old name has another.",
        },
    ),
}


@cache
def _all() -> dict[str, Texts]:
    found = find_spec("kubernetes_validate")
    if found is None or found.origin is None:
        return {}
    try:
        definitions: dict[str, Any] = orjson.loads((Path(found.origin).parent / _SOURCE).read_bytes())["$defs"]
    except (OSError, ValueError, KeyError):
        log.warning("no texts for explain in kubernetes-validate: source=%s", _SOURCE)
        return {}
    return {
        name: Texts(
            body.get("description", ""),
            {key: field["description"] for key, field in body.get("properties", {}).items() if field.get("description")},
        )
        for name, body in definitions.items()
    }


def texts(name: str) -> Texts:
    """The texts of a definition's full name; empty ones where there are none."""
    return _all().get(name) or _OWN.get(name, _NONE)
