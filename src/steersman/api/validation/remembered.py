"""Specs of pods that were found valid: pods come from templates, and those of one differ in their names only.

Validating a spec costs ten times what it costs to know it again. Only valid ones are remembered: errors are always worked out.
Not here: what is wrong with a spec (podspec.py).
"""

from __future__ import annotations

import re

import orjson

from steersman.api.validation import podspec
from steersman.api.validation.common import Errors
from steersman.machinery.meta import Obj

_MOST = 256
_TOKEN_VOLUME = re.compile("kube-api-access-[a-z0-9]{5}")
_ANY_NAME = b"\0"
_valid: dict[bytes, None] = {}


def pod_spec(errors: Errors, spec: Obj, pod_name: str) -> None:
    """podspec.pod_spec of a pod."""
    shape = _shape(spec)
    if shape in _valid:
        return
    known = len(errors)
    podspec.pod_spec(errors, "spec", spec, is_pod=True, pod_name=pod_name)
    if shape and len(errors) == known:
        if len(_valid) >= _MOST:
            # Oldest first; what is in use comes back at once.
            del _valid[next(iter(_valid))]
        _valid[shape] = None


def _shape(spec: Obj) -> bytes:
    """Specs of one shape are valid or not together. Empty: this one can only be judged with its pod."""
    name = ""
    for volume in spec.get("volumes") or ():
        if volume.get("ephemeral"):
            # The claim's name is made of the pod's.
            return b""
        if _TOKEN_VOLUME.fullmatch(volume.get("name") or ""):
            name = volume["name"]
    try:
        made = orjson.dumps(spec)
    except TypeError:
        return b""
    # Admission gives that volume a suffix of its own in each pod. Whether names are good and references right does not change
    # when one name is another everywhere. In JSON the byte is always escaped, so no spec has it by itself.
    return made.replace(name.encode(), _ANY_NAME) if name else made
