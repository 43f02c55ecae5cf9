"""What a write does to a custom resource: status apart from the rest, generation, validation by schema.

Source: apiextensions-apiserver pkg/registry/customresource/strategy.go, validator.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from steersman.api.customresources.fields import parts_of, value_at
from steersman.api.equality import same
from steersman.api.kinds import ScalePaths, Strategy
from steersman.api.strategies.common import carry_generation, first_generation, keep, keep_status, reset_status
from steersman.api.structural import embedded, lists, values
from steersman.api.structural.model import MISSING, Node
from steersman.api.structural.rules.evaluate import Rules
from steersman.machinery.fielderrors import FieldError, invalid
from steersman.machinery.meta import Obj

MAX_REPLICAS = 2**31 - 1
_FINALIZER = (
    "prefer a domain-qualified finalizer name including a path (/) to avoid accidental conflicts with other finalizer writers"
)
_STANDARD = ("kubernetes", "orphan", "foregroundDeletion")


@dataclass(frozen=True, slots=True)
class Custom:
    """The functions of a Strategy for one version of a custom resource."""

    root: Node
    kind: str
    has_status: bool
    scale: ScalePaths | None
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", Rules(self.root))

    def strategy(self) -> Strategy:
        return Strategy(
            prepare_create=self.prepare_create,
            prepare_update=self.prepare_update,
            prepare_status_update=_only_status,
            validate_create=self.validate,
            validate_update=self.validate,
            validate_status_update=self.validate,
            warnings=self.warnings,
            lengthy=self.rules.any,
            unconditional_update=False,
        )

    def prepare_create(self, obj: Obj) -> None:
        if self.has_status:
            reset_status(obj)
        first_generation(obj)

    def prepare_update(self, new: Obj, old: Obj) -> None:
        if self.has_status:
            keep_status(new, old)
        counted = ({key: value for key, value in obj.items() if key not in ("metadata", "apiVersion")} for obj in (new, old))
        carry_generation(new, old, not same(next(counted), next(counted)))

    def validate(self, obj: Obj, old: Obj | None = None) -> list[FieldError]:
        errors = values.validate(obj, self.root, MISSING if old is None else old)
        if obj.get("kind") != self.kind:
            errors.append(invalid("kind", obj.get("kind"), f"must be {self.kind}"))
        if self.root.embeds:
            errors += embedded.validate(obj, self.root)
        # A list that was not unique before may stay so.
        if old is None or not lists.validate(old, self.root):
            errors += lists.validate(obj, self.root)
        if self.scale is not None:
            errors += self._replicas(obj, self.scale)
        return errors + self.rules.errors(obj, MISSING if old is None else old, errors)

    def warnings(self, new: Obj, old: Obj | None) -> list[str]:
        found = _finalizers(new, old)
        return found + self.rules.warnings(new, old) if old is not None else found

    def _replicas(self, obj: Obj, scale: ScalePaths) -> list[FieldError]:
        errors = []
        for path in (scale.spec_replicas, scale.status_replicas):
            value: Any = value_at(obj, parts_of(path))
            if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value <= MAX_REPLICAS:
                text = "should be a non-negative integer" if value < 0 else f"should be less than or equal to {MAX_REPLICAS}"
                errors.append(invalid(path, value, text))
        return errors


def _only_status(new: Obj, old: Obj) -> None:
    """All stays as it is stored, metadata too, but the status, and who owns what."""
    mine = {"status": new["status"]} if "status" in new else {}
    meta = new["metadata"]
    stored = {**old["metadata"]}
    keep(stored, meta, "managedFields")
    meta.clear()
    meta.update(stored)
    new.clear()
    new.update({**old, "metadata": meta})
    keep(new, mine, "status")


def _finalizers(new: Obj, old: Obj | None) -> list[str]:
    """Finalizers without a domain that were not there before."""
    before = ((old or {}).get("metadata") or {}).get("finalizers") or ()
    fresh = [item for item in new["metadata"].get("finalizers") or () if item not in before]
    return [f'metadata.finalizers: "{item}": {_FINALIZER}' for item in fresh if "/" not in item and item not in _STANDARD]
