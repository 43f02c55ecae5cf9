"""AdmissionReview: the question that a webhook is asked, and what its answer says. Pure.

Source: admission.k8s.io/v1 (v1beta1 differs in what an answer must say), upstream apiserver/pkg/admission/plugin/webhook/request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.machinery.errors import StatusError
from steersman.machinery.meta import Obj

_GROUP = "admission.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_KIND = "AdmissionReview"
_LEAST_CODE = 400


class BadAnswer(ValueError):
    """An answer that is none; the text is upstream's."""


class Denied(StatusError):
    """What a webhook refuses, with the Status it has given."""

    def __init__(self, hook: str, result: Obj | None) -> None:
        body: Obj = {"metadata": {}, **{key: value for key, value in (result or {}).items() if value}}
        by = f'admission webhook "{hook}" denied the request'
        said = body.get("message") or body.get("reason")
        body["message"] = f"{by}: {said}" if said else f"{by} without explanation"
        if not isinstance(body.get("code"), int) or body["code"] < _LEAST_CODE:
            body["code"] = _LEAST_CODE
        if body.get("status") in (None, "Success"):
            body["status"] = "Failure"
        super().__init__(str(body["message"]))
        self._body: Obj = {**body, "kind": "Status", "apiVersion": "v1"}

    @property
    def said_code(self) -> int:
        return int(self._body["code"])

    def status(self) -> Obj:
        return self._body


@dataclass(frozen=True, slots=True)
class Answer:
    """patch: JSON, not decoded; empty for none."""

    allowed: bool
    result: Obj | None = None
    patch: bytes = b""
    patch_type: str = ""
    warnings: Sequence[str] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


def version_for(wanted: Sequence[str] | None) -> str:
    """The first version of a webhook's that is known here. Raises BadAnswer."""
    for version in wanted or ():
        if version in _VERSIONS:
            return version
    raise BadAnswer("webhook does not accept known AdmissionReview versions (v1, v1beta1)")


def question(version: str, uid: str, about: Obj, obj: Obj | None, old: Obj | None) -> Obj:
    """about: the request but for its objects."""
    request = {"uid": uid, **about, "object": obj, "oldObject": old}
    request.setdefault("options", None)
    return {"kind": _KIND, "apiVersion": f"{_GROUP}/{version}", "request": request}


def read(asked: Obj, answer: Any, *, mutating: bool) -> Answer:
    """Raises BadAnswer."""
    if not isinstance(answer, dict):
        raise BadAnswer("the answer is no object")
    response = answer.get("response")
    strict = asked["apiVersion"].endswith("/v1")
    if strict:
        _identified(asked, answer)
    if response is None:
        raise BadAnswer("webhook response was absent")
    if not isinstance(response, dict):
        raise BadAnswer("webhook response is no object")
    if strict and response.get("uid") != asked["request"]["uid"]:
        raise BadAnswer(f'expected response.uid="{asked["request"]["uid"]}", got "{response.get("uid") or ""}"')
    patch, kind = _patch(response), response.get("patchType")
    if strict:
        _check_patch(patch, kind, mutating=mutating)
    notes = _of(response, "auditAnnotations", dict, {})
    return Answer(
        response.get("allowed") is True,
        _of(response, "status", dict, None),
        patch if mutating else b"",
        str(kind or "JSONPatch"),
        [str(text) for text in _of(response, "warnings", list, [])],
        {str(key): str(value) for key, value in notes.items()},
    )


def _of(response: Obj, key: str, kind: type, default: Any) -> Any:
    """Raises BadAnswer."""
    found = response.get(key)
    if found is None:
        return default
    if not isinstance(found, kind):
        raise BadAnswer(f"response.{key} is of another type: {str(found)[:200]}")
    return found


def _identified(asked: Obj, answer: Obj) -> None:
    if (answer.get("kind"), answer.get("apiVersion")) != (_KIND, asked["apiVersion"]):
        wanted = f"{asked['apiVersion']}, Kind={_KIND}"
        given = answer.get("apiVersion") or "/"
        raise BadAnswer(f"expected webhook response of {wanted}, got {given}, Kind={answer.get('kind') or ''}")


def _patch(response: Obj) -> bytes:
    try:
        text = _of(response, "patch", str, "").replace("\r", "").replace("\n", "")
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadAnswer(f"illegal base64 data in response.patch: {fault}") from fault


def _check_patch(patch: bytes, kind: object, *, mutating: bool) -> None:
    if not mutating:
        if patch:
            raise BadAnswer("validating webhook may not return response.patch")
        if kind is not None:
            raise BadAnswer("validating webhook may not return response.patchType")
    elif patch and kind is None:
        raise BadAnswer("webhook returned response.patch but not response.patchType")
    elif not patch and kind is not None:
        raise BadAnswer("webhook returned response.patchType but not response.patch")
    elif kind == "":
        raise BadAnswer('webhook returned invalid response.patchType of ""')
