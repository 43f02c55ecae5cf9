"""AlwaysPullImages: each container's image is pulled each time, so that its registry decides who gets it.

Source: upstream plugin/pkg/admission/alwayspullimages.
"""

from __future__ import annotations

from collections.abc import Iterator

from steersman.api.resources import PODS
from steersman.apiserver.admission.refusal import refused
from steersman.apiserver.contracts import AdmissionRequest
from steersman.machinery.fielderrors import not_supported
from steersman.machinery.meta import Obj

_PARTS = ("initContainers", "containers", "ephemeralContainers")
_ALWAYS = "Always"


class AlwaysPullImages:
    name = "AlwaysPullImages"

    async def admit(self, request: AdmissionRequest) -> None:
        if _concerns(request) and request.obj is not None:
            for _, item, key in _policies(request.obj["spec"]):
                item[key] = _ALWAYS

    async def validate(self, request: AdmissionRequest) -> None:
        if not _concerns(request) or request.obj is None:
            return
        wrong = [
            str(not_supported(f"{where}.{key}", item.get(key) or "", (_ALWAYS,)))
            for where, item, key in _policies(request.obj["spec"])
            if item.get(key) != _ALWAYS
        ]
        if wrong:
            raise refused(request, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def _concerns(request: AdmissionRequest) -> bool:
    if request.resource != PODS or request.subresource or request.obj is None:
        return False
    # An update without new images changes nothing about who got them.
    return request.old is None or not _images(request.obj["spec"]) <= _images(request.old["spec"])


def _images(spec: Obj) -> set[str]:
    found = {item.get("image") or "" for part in _PARTS for item in spec.get(part) or ()}
    return found | {volume["image"].get("reference") or "" for volume in spec.get("volumes") or () if volume.get("image")}


def _policies(spec: Obj) -> Iterator[tuple[str, Obj, str]]:
    """(path, what has a pull policy, its field)."""
    for part in _PARTS:
        for index, item in enumerate(spec.get(part) or ()):
            yield f"spec.{part}[{index}]", item, "imagePullPolicy"
    for index, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("image") is not None:
            yield f"spec.volumes[{index}].image", volume["image"], "pullPolicy"
