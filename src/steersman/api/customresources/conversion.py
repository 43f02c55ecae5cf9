"""ConversionReview: what a conversion webhook is asked, and what may be taken of its answer. Asking it is apiserver/crd's part.

Source: apiextensions-apiserver pkg/apiserver/conversion/webhook_converter.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steersman.api.validation.common import Errors, annotation_map, label_map
from steersman.machinery.gvk import split_api_version
from steersman.machinery.meta import Obj

_GROUP = "apiextensions.k8s.io"
_SUPPORTED = ("v1", "v1beta1")
_KEPT = ("name", "namespace", "uid")


class Refused(Exception):
    """The webhook did not convert; the text says why."""


def review(versions: Sequence[str], uid: str, api_version: str, objects: Sequence[Obj]) -> Obj:
    """The question in the first version that is known here. Raises Refused."""
    chosen = next((version for version in versions if version in _SUPPORTED), None)
    if chosen is None:
        raise Refused("no supported conversion review versions")
    request = {"uid": uid, "desiredAPIVersion": api_version, "objects": list(objects)}
    return {"kind": "ConversionReview", "apiVersion": f"{_GROUP}/{chosen}", "request": request}


def converted(asked: Obj, answer: Any) -> list[Obj]:
    """The objects of an answer, one for each that was asked for, with the metadata that they had. Raises Refused."""
    request = asked["request"]
    objects, wanted = request["objects"], request["desiredAPIVersion"]
    gvk = _shown(objects[0])
    found = _objects(asked, answer, gvk)
    if len(found) != len(objects):
        raise Refused(f"conversion webhook for {gvk} returned {len(found)} objects, expected {len(objects)}")
    for index, (before, after) in enumerate(zip(objects, found, strict=True)):
        wrong = _wrong(before, after, wanted)
        if wrong:
            raise Refused(f"conversion webhook for {gvk} returned invalid converted object at index {index}: {wrong}")
        wrong = _restore_metadata(before, after)
        if wrong:
            raise Refused(f"conversion webhook for {gvk} returned invalid metadata in object at index {index}: {wrong}")
    return found


def failed(objects: Sequence[Obj], why: str) -> Refused:
    """What is said when the webhook could not be asked."""
    return Refused(f"conversion webhook for {_shown(objects[0])} failed: {why}")


def _objects(asked: Obj, answer: Any, gvk: str) -> list[Any]:
    answer = answer if isinstance(answer, dict) else {}
    response = answer.get("response")
    strict = asked["apiVersion"] == f"{_GROUP}/v1"
    why = ""
    if strict and (answer.get("kind"), answer.get("apiVersion")) != (asked["kind"], asked["apiVersion"]):
        why = f"expected webhook response of {_shown(asked)}, got {_shown(answer)}"
    elif not isinstance(response, dict):
        why = "no response provided"
    elif strict and response.get("uid") != asked["request"]["uid"]:
        why = f'expected response.uid="{asked["request"]["uid"]}", got "{response.get("uid") or ""}"'
    else:
        result = response.get("result")
        result = result if isinstance(result, dict) else {}
        if result.get("status") == "Success":
            objects = response.get("convertedObjects") or []
            return objects if isinstance(objects, list) else []
        why = result.get("message") or f"response.result.status was '{result.get('status') or ''}', not 'Success'"
    raise Refused(f"conversion webhook for {gvk} failed: {why}")


def _wrong(before: Obj, after: Any, wanted: str) -> str:
    if not isinstance(after, dict):
        return "no object"
    if after.get("apiVersion") != wanted:
        return f"invalid groupVersion (expected {wanted}, received {after.get('apiVersion') or ''})"
    if after.get("kind") != before["kind"]:
        return f"invalid kind (expected {before['kind']}, received {after.get('kind') or ''})"
    meta = after.get("metadata")
    if not isinstance(meta, dict):
        return f"invalid metadata of type {type(meta).__name__} in converted object"
    for key in _KEPT:
        if (meta.get(key) or "") != (before["metadata"].get(key) or ""):
            return f"must have the same {'UID' if key == 'uid' else key}: {before['metadata'].get(key)} != {meta.get(key)}"
    return ""


def _restore_metadata(before: Obj, after: Obj) -> str:
    """Of metadata only labels and annotations are taken, in place. What is wrong with them."""
    errors: Errors = []
    meta = {key: value for key, value in before["metadata"].items() if key not in ("labels", "annotations")}
    for key, check in (("labels", label_map), ("annotations", annotation_map)):
        value = after["metadata"].get(key)
        if not value:
            continue
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            return f"metadata.{key} of the converted object is no map of texts"
        check(errors, f"metadata.{key}", value)
        meta[key] = value
    after["metadata"] = meta
    return ", ".join(f"{error.path}: {error.detail}" for error in errors)


def _shown(obj: Obj) -> str:
    """As Go prints a GroupVersionKind."""
    group, version = split_api_version(str(obj.get("apiVersion") or ""))
    return f"{group}/{version}, Kind={obj.get('kind') or ''}"
