"""From the text of a manifest to static pods: decoded and checked as the API server would, named after the node. Pure.

Source: upstream pkg/kubelet/config/common.go. What is not here: where manifests come from (sources.py).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from steersman.api import noderefs
from steersman.api.decode import decode
from steersman.api.groups.core_v1 import PODS
from steersman.api.validation import objectmeta
from steersman.kubelet.pods import HASH_ANNOTATION, SEEN_ANNOTATION, SOURCE_ANNOTATION
from steersman.machinery import yamlio
from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj, format_micro_time

FILE, HTTP = "file", "http"
_TOLERATE_ALL = {"operator": "Exists", "effect": "NoExecute"}


class BadManifest(ValueError):
    """A manifest that can't be used, and why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a manifest is from. source: FILE or HTTP; place: the path or URL; node: whose pods they become."""

    source: str
    place: str
    node: str


def read(content: bytes, origin: Origin, now: datetime) -> list[Obj]:
    """The pods of a manifest: a Pod, or from a URL also a PodList. Raises BadManifest."""
    try:
        found = yamlio.load(content)
    except yamlio.YAMLError as error:
        raise BadManifest(str(error)) from None
    if not isinstance(found, dict):
        raise BadManifest("expected a Pod")
    if origin.source == HTTP and found.get("kind") in ("PodList", "List"):
        items = found.get("items") or []
    else:
        items = [found]
    return [_pod(item, origin, now) for item in items]


def _pod(given: Obj, origin: Origin, now: datetime) -> Obj:
    if not isinstance(given, dict) or not given.get("kind") or not given.get("apiVersion"):
        raise BadManifest("Object 'Kind' or 'apiVersion' is missing")
    try:
        pod, _ = decode(json.dumps(given).encode(), "application/json", PODS, "Ignore")
    except StatusError as error:
        raise BadManifest(str(error)) from None
    _settle(pod, origin, now)
    PODS.strategy.prepare_create(pod)
    pod["metadata"].pop("generation", None)
    pod["status"] = {"phase": "Pending"}
    errors = objectmeta.validate(pod, PODS) + PODS.strategy.validate_create(pod)
    if errors:
        raise BadManifest(f"invalid pod: [{', '.join(map(str, errors))}]")
    referred = noderefs.api_reference(pod)
    if referred:
        raise BadManifest(f"static pods may not reference {referred}")
    return pod


def _settle(pod: Obj, origin: Origin, now: datetime) -> None:
    """What makes it this node's: name, place, identity, annotations."""
    meta: Obj = pod.setdefault("metadata", {})
    for key in ("resourceVersion", "creationTimestamp", "deletionTimestamp", "ownerReferences", "generateName", "managedFields"):
        meta.pop(key, None)
    uid = meta.get("uid") or _uid(pod, origin)
    meta["uid"] = uid
    meta["name"] = f"{meta.get('name') or ''}-{origin.node.lower()}"
    meta["namespace"] = meta.get("namespace") or "default"
    meta["annotations"] = {
        **(meta.get("annotations") or {}),
        HASH_ANNOTATION: uid,
        SEEN_ANNOTATION: format_micro_time(now),
        SOURCE_ANNOTATION: origin.source,
    }
    spec: Obj = pod.setdefault("spec", {})
    spec["nodeName"] = origin.node
    if origin.source == FILE and _TOLERATE_ALL not in (spec.get("tolerations") or ()):
        spec["tolerations"] = [*(spec.get("tolerations") or ()), dict(_TOLERATE_ALL)]


def _uid(pod: Obj, origin: Origin) -> str:
    """A pod that reads differently is another pod: the old one ends before the new one begins."""
    text = json.dumps(pod, sort_keys=True)
    place = f"host:{origin.node}file:{origin.place}" if origin.source == FILE else f"url:{origin.place}"
    return hashlib.md5((text + place).encode(), usedforsecurity=False).hexdigest()
