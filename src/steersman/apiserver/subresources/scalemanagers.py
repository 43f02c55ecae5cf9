"""Who owns the replicas of an object, as its Scale shows it, and what a write of the Scale makes of that.

A Scale has one field to own, `.spec.replicas`; in the object it is where the kind keeps it. Source: apimachinery, managedfields,
scalehandler.go.
"""

from __future__ import annotations

from steersman.api.customresources.fields import parts_of
from steersman.api.groups.bodies import SCALE
from steersman.api.kinds import KindSpec
from steersman.api.schema.applytypes import of_kind
from steersman.machinery.apply import fieldset
from steersman.machinery.apply.fieldset import FieldSet
from steersman.machinery.apply.managers import APPLY, Managed, ManagerId, Managers
from steersman.machinery.apply.types import Type
from steersman.machinery.meta import Obj

API_VERSION = SCALE.resource.api_version
_REPLICAS = fieldset.of(("f:spec", "f:replicas"))


class ScaleVersions:
    """updater.Versions of Scales: there is one."""

    def type_of(self, api_version: str) -> Type | None:
        return of_kind(SCALE.schema) if api_version == API_VERSION else None

    def convert(self, obj: Obj, api_version: str) -> Obj:
        return obj


def to_scale(owners: Managers, spec: KindSpec) -> Managers:
    """The managers of an object's Scale: those who own its replicas."""
    mine = _where(spec)
    return {
        _renamed(who, API_VERSION): Managed(_REPLICAS, API_VERSION, managed.time)
        for who, managed in owners.items()
        if fieldset.intersection(managed.fields, mine)
    }


def to_object(scale: Managers, owners: Managers, spec: KindSpec) -> Managers:
    """The object's managers after its Scale has these: who no longer owns the replicas there does not own them here."""
    mine, version = _where(spec), spec.resource.api_version
    made: Managers = {}
    known: set[ManagerId] = set()
    for who, managed in owners.items():
        fields = managed.fields
        if fieldset.intersection(fields, mine):
            known.add(_renamed(who, API_VERSION))
            if _renamed(who, API_VERSION) not in scale:
                fields = fieldset.difference(fields, mine)
        if fields:
            made[who] = managed._replace(fields=fields)
    for who, managed in scale.items():
        if who not in known:
            made[_renamed(who, version)] = Managed(mine, version, managed.time)
        else:
            _touch(made, who, managed.time)
    return made


def _touch(made: Managers, scaled: ManagerId, time: str) -> None:
    """The time of who has scaled again."""
    for who, managed in made.items():
        if _renamed(who, API_VERSION) == scaled:
            made[who] = managed._replace(time=time)


def _renamed(who: ManagerId, api_version: str) -> ManagerId:
    return who if who.operation == APPLY else who._replace(api_version=api_version)


def _where(spec: KindSpec) -> FieldSet:
    """The place of the replicas in objects of a kind."""
    if spec.scale is None:
        return _REPLICAS
    return fieldset.of(tuple(f"f:{part}" for part in parts_of(spec.scale.spec_replicas)))
