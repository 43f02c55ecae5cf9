"""A small kind with every sort of field that apply knows, for the tests of this folder."""

from __future__ import annotations

from typing import Any

from steersman.machinery.apply.managers import APPLY, UPDATE, ManagerId, Managers, manager_id
from steersman.machinery.apply.types import ANY, ANY_ATOMIC, UNTYPED, Type
from steersman.machinery.apply.updater import Applied, Writer, apply, update
from steersman.machinery.meta import Obj

TEXT, NUMBER, FLAG = Type("scalar", scalar="string"), Type("scalar", scalar="numeric"), Type("scalar", scalar="boolean")


def struct(*, atomic: bool = False, always: dict[str, Any] | None = None, **fields: Type) -> Type:
    return Type("map", atomic=atomic, always=always, members=lambda: (fields, None))


def mapping(element: Type, *, atomic: bool = False) -> Type:
    return Type("map", atomic=atomic, members=lambda: ({}, element))


def listing(item: Type, *, atomic: bool = False, keys: tuple[str, ...] = (), defaults: dict[str, Any] | None = None) -> Type:
    return Type("list", atomic=atomic, keys=keys, key_defaults=defaults, members=lambda: ({}, item))


ITEM = struct(name=TEXT, image=TEXT, value=NUMBER, args=listing(TEXT, atomic=True), tags=listing(TEXT), labels=mapping(TEXT))
PORT = struct(port=NUMBER, protocol=TEXT, name=TEXT)
KIND = struct(
    text=TEXT,
    number=NUMBER,
    flag=FLAG,
    amount=UNTYPED,
    inner=struct(a=TEXT, b=NUMBER, deep=struct(c=TEXT)),
    value=struct(a=TEXT),
    selector=struct(atomic=True, match=mapping(TEXT)),
    labels=mapping(TEXT),
    maps=mapping(mapping(TEXT)),
    nodes=mapping(TEXT, atomic=True),
    set=listing(TEXT),
    args=listing(TEXT, atomic=True),
    items=listing(ITEM, keys=("name",)),
    ports=listing(PORT, keys=("port", "protocol"), defaults={"protocol": "TCP"}),
    free=ANY,
    raw=ANY_ATOMIC,
    always={"value": {}},
)


class Same:
    """Every version is the same; `gone` are no longer served."""

    def __init__(self, kind: Type = KIND, gone: tuple[str, ...] = ()) -> None:
        self.kind, self.gone = kind, gone

    def type_of(self, api_version: str) -> Type | None:
        return None if api_version in self.gone else self.kind

    def convert(self, obj: Obj, api_version: str) -> Obj:
        return obj


class Live:
    """An object that several write to, as the API server has it."""

    def __init__(self, kind: Type = KIND) -> None:
        self.obj: Obj = {}
        self.managers: Managers = {}
        self.versions = Same(kind)
        self.seconds = 0

    def _writer(self, who: ManagerId, version: str) -> Writer:
        self.seconds += 1
        return Writer(who, version, lambda fields: fields, f"2026-01-01T00:00:{self.seconds:02d}Z")

    def apply(self, name: str, config: Obj, *, force: bool = False, version: str = "v1") -> Applied:
        writer = self._writer(manager_id(name, APPLY, version), version)
        found = apply(self.obj, config, self.managers, writer, self.versions, force=force)
        self.obj, self.managers = found.obj if found.obj is not None else self.obj, found.managers
        return found

    def update(self, name: str, obj: Obj, *, version: str = "v1") -> None:
        writer = self._writer(manager_id(name, UPDATE, version), version)
        self.managers = update(self.obj, obj, self.managers, writer, self.versions)
        self.obj = obj

    def fields(self, name: str) -> Obj:
        """What a manager owns, by whatever operation."""
        return next((managed.fields for who, managed in self.managers.items() if who.name == name), {})
