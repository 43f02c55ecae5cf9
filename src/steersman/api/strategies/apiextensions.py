"""CustomResourceDefinitions: status and spec apart, stored versions remembered, deletion that waits for the instances.

Source: apiextensions-apiserver pkg/registry/customresourcedefinition/{strategy,etcd}.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from steersman.api.kinds import Strategy
from steersman.api.strategies.common import first_generation, only_status, update_with_status
from steersman.api.structural.check import unknown_formats
from steersman.api.validation import apiextensions as validation
from steersman.machinery.meta import Obj, metadata, set_condition

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def _storage_versions(obj: Obj) -> list[str]:
    return [version["name"] for version in obj["spec"].get("versions") or () if version.get("storage")]


def prepare_create(obj: Obj) -> None:
    first_generation(obj)
    obj["status"] = {"acceptedNames": {"kind": "", "plural": ""}, "conditions": [], "storedVersions": _storage_versions(obj)}


def prepare_update(new: Obj, old: Obj) -> None:
    update_with_status(new, old)
    status = new.setdefault("status", {})
    stored = list(status.get("storedVersions") or ())
    status["storedVersions"] = stored + [name for name in _storage_versions(new) if name not in stored]


def prepare_delete(obj: Obj, now: datetime) -> None:
    """The instances go first: a finalizer and a condition say so."""
    finalizers = metadata(obj).setdefault("finalizers", [])
    if CLEANUP not in finalizers:
        finalizers.append(CLEANUP)
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    set_condition(conditions, "Terminating", "True", now, reason="InstanceDeletionPending", message=text)


def warnings(new: Obj, old: Obj | None) -> list[str]:
    """Formats that nobody checks; only those that were not there before."""
    known = set(_formats(old)) if old is not None else set()
    return [f'unrecognized format "{name}"' for name in dict.fromkeys(_formats(new)) if name not in known]


def _formats(obj: Obj) -> Iterator[str]:
    for version in obj["spec"].get("versions") or ():
        raw: Any = (version.get("schema") or {}).get("openAPIV3Schema")
        yield from unknown_formats(raw)


DEFINITION = Strategy(
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    prepare_status_update=only_status,
    prepare_delete=prepare_delete,
    validate_create=validation.validate,
    validate_update=validation.validate_update,
    validate_status_update=validation.validate_status_update,
    warnings=warnings,
    unconditional_update=False,
)
